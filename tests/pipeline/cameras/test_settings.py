"""The configuration file of cameras: its values, its errors, and its secrets."""

from pathlib import Path

import pytest

from pipeline.cameras.camera_settings import CamerasConfig, load_cameras
from pipeline.cameras.views.camera_view import CameraView
from pipeline.cameras.views.rectangles import Rectangle
from pipeline.errors import ConfigError
from pipeline.media.opening.access import Access

FILE = """
bootstrap = "kafka:9092"
[defaults]
fps = 15
quality = 80
[camera.gate]
url = "rtsp://${GATE_LOGIN}@10.0.0.7/stream1"
transport = "udp"
[camera."hall.1"]
url = "hall.mp4"
loop = true
fps = 5
size = "640x360"
"""


def load(folder: Path, text: str, **flags: object) -> CamerasConfig:
    file = folder / "cameras.toml"
    file.write_text(text)
    return load_cameras(file, flags)


def test_every_camera_has_its_own_settings_then_the_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, FILE)
    gate, hall = config.camera["gate"], config.camera["hall.1"]
    assert (gate.fps, gate.quality, gate.transport, gate.loop) == (15, 80, "udp", False)
    assert (hall.fps, hall.quality, hall.size, hall.loop) == (5, 80, (640, 360), True)


def test_states_are_published_by_default_and_two_settings_turn_them_off(tmp_path: Path) -> None:
    config = load(tmp_path, FILE)
    assert (config.cameras_topic, config.states_s) == ("cameras", 60.0)
    off = load(tmp_path, 'cameras_topic = ""\nstates_s = 0\n' + FILE)
    assert (off.cameras_topic, off.states_s) == ("", 0.0)
    with pytest.raises(ConfigError, match=r"states_s = 0\.5: .*wanted 0, or 1 and more"):
        load(tmp_path, "states_s = 0.5\n" + FILE)


def test_states_do_not_go_to_the_topic_of_frames(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"configuration: cameras_topic and frames_topic are bot"):
        load(tmp_path, 'cameras_topic = "x"\n' + FILE, frames_topic="x")


def test_flags_are_before_the_environment_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(tmp_path, FILE).bootstrap == "kafka:9092"
    monkeypatch.setenv("LONGTAKE_BOOTSTRAP", "other:9092")
    assert load(tmp_path, FILE).bootstrap == "other:9092"
    assert load(tmp_path, FILE, bootstrap="flag:9092").bootstrap == "flag:9092"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "[camera.gate]\nurl = 'x'\nfsp = 3",
            "camera.gate.fsp: .*did you mean fps\\?; known are",
        ),
        ("[camera.gate]\nloop = true", "camera.gate.url.*Field required"),
        ("[camera.gate]\nurl = 'x'\nsize = 'big'", "camera.gate.size.*WIDTHxHEIGHT"),
        ("[camera.gate]\nurl = 'x'\nquality = 0", "camera.gate.quality"),
        ("[camera.gate]\nurl = 'x'\nfps = true", "camera.gate.fps.*not true or false"),
        ("[camera.'my gate']\nurl = 'x'", "camera names are stream ids.*'my gate'"),
        ("[camera.gate", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load(tmp_path, text)


def test_an_unknown_setting_is_named_with_those_of_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"known are ca_file, .*views$") as of_camera:
        load(tmp_path, "[camera.gate]\nurl = 'x'\nfsp = 3")
    assert "bootstrap" not in str(of_camera.value)
    with pytest.raises(
        ConfigError, match=r"known are bootstrap, camera, cameras_topic, defaults"
    ) as of_process:
        load(tmp_path, "spol = 'x'")
    assert "quality" not in str(of_process.value)


def test_a_camera_is_strict_unless_its_entry_says_otherwise(tmp_path: Path) -> None:
    text = "[camera.gate]\nurl = 'x'\n"
    more = "redirects = true\nverify = false\nca_file = 'gate.pem'\n"
    assert load(tmp_path, text).camera["gate"].access == Access()
    loose = Access(redirects=True, verify=False, ca_file=Path("gate.pem"))
    assert load(tmp_path, text + more).camera["gate"].access == loose


def test_the_address_of_a_camera_is_in_no_repr(tmp_path: Path) -> None:
    assert "Secret" not in repr(load(tmp_path, "[camera.gate]\nurl = 'rtsp://me:Secret@cam'"))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no configuration file nowhere\.toml"):
        load_cameras(Path("nowhere.toml"), {})


@pytest.mark.parametrize(
    "text",
    [
        "[camera]\ngate = 'rtsp://me:Secret@cam/v'",
        "[camera.gate]\nulr = 'rtsp://me:Secret@cam/v'",
        "[camera.'my gate']\nurl = 'rtsp://cam/v?token=Secret'",
        "[camera]\ngate = ['rtsp://me:Sec/ret@cam/v']",
        "[camera.'rtsp://me:Secret@cam/v']\nurl = 'x'",
        "[camera.'rtsp://me:Secret@cam/v']\nurl = 'x'\nfsp = 3",
        "[camera.gate]\nurl = 'rtsp://me:Secret@cam/" + "v" * 5000 + "'",
    ],
)
def test_what_is_wrong_is_named_without_the_login_in_its_url(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, text)
    assert "Sec" not in str(refused.value)


def test_views_are_streams_in_the_place_of_their_camera(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        [defaults]
        mask = ["0,0,0.1,0.1"]
        [camera.gate]
        url = "gate.mp4"
        crop = "8,8,20,20"
        [camera.hall]
        url = "hall.mp4"
        views = { door = "0,0,0.5,1", stairs = "0.5,0,0.5,1" }
        """,
    )
    corner = Rectangle.of("0,0,0.1,0.1")
    assert config.camera["gate"].streams("gate") == {
        "gate": CameraView(Rectangle.of("8,8,20,20"), (corner,))
    }
    assert config.camera["hall"].streams("hall") == {
        "door": CameraView(Rectangle.of("0,0,0.5,1"), (corner,)),
        "stairs": CameraView(Rectangle.of("0.5,0,0.5,1"), (corner,)),
    }


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('crop = "0,0,1"', "camera.gate.crop = .*wanted 'x,y,width,height'"),
        ("crop = [0, 0, 1, 1]", "camera.gate.crop = .*wanted 'x,y,width,height'"),
        ('mask = ["0,0,1.5,0.5"]', "camera.gate.mask.*neither whole pixels nor fractions"),
        ('mask = "0,0,1,1"', "camera.gate.mask"),
        ('masks = ["0,0,1,1"]', "camera.gate.masks: no such setting; did you mean mask"),
        (f"mask = {['0,0,1,1'] * 65}", "camera.gate.mask"),
        ('crop = "0,0,1,1"\nviews = { a = "0,0,1,1" }', "has `crop` and `views`"),
        ("views = {}", "camera.gate.views"),
        ('views = { "a b" = "0,0,1,1" }', "names are stream ids"),
        ('views = { hall = "0,0,1,1" }', "more than one camera or view is called hall"),
        (
            "views = { " + ", ".join(f'v{n} = "0,0,1,1"' for n in range(33)) + " }",
            "camera.gate.views",
        ),
    ],
)
def test_views_that_cannot_be_meant_are_refused(tmp_path: Path, more: str, why: str) -> None:
    text = f'[camera.gate]\nurl = "gate.mp4"\n{more}\n[camera.hall]\nurl = "hall.mp4"\n'
    with pytest.raises(ConfigError, match=why):
        load(tmp_path, text)
