"""What a file of cameras says, what is wrong with it, and where secrets are."""

from pathlib import Path

import pytest

from pipeline.cameras.camera_settings import CamerasConfig, load_cameras
from pipeline.errors import ConfigError
from pipeline.media.address import Address, without_login

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
        ("[camera.gate]\nurl = 'x'\nfsp = 3", "camera.gate.fsp: no such setting; known are"),
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


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no configuration file nowhere\.toml"):
        load_cameras(Path("nowhere.toml"), {})


def test_a_secret_comes_from_the_environment_and_is_never_shown() -> None:
    address = Address.of("rtsp://${LOGIN}@10.0.0.7/s?token=t", {"LOGIN": "me:p@ss/w?rd"})
    assert address.url == "rtsp://me:p%40ss%2Fw%3Frd@10.0.0.7/s?token=t"
    assert address.shown == "rtsp://10.0.0.7/s?..."
    assert "p%40" not in repr(address)


def test_a_secret_comes_from_a_files_first_line(tmp_path: Path) -> None:
    file = tmp_path / "login"
    file.write_text("me:secret\n")
    assert Address.of(f"http://${{file:{file}}}@cam/v", {}).url == "http://me:secret@cam/v"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("rtsp://${NOBODY}@x/", "the environment has no NOBODY"), ("${file:/nowhere}", "/nowhere")],
)
def test_a_secret_that_is_not_there_is_named(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Address.of(text, {})


def test_a_password_that_stands_in_the_address_is_not_told_when_a_name_is_missing() -> None:
    with pytest.raises(ConfigError, match="no TOKEN") as caught:
        Address.of("rtsp://me:secret@cam/${TOKEN}", {})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://a:b@c/d", "rtsp://c/d"),
        ("rtsp://a:b@@c/d", "rtsp://c/d"),
        ("http://c/d@e", "http://c/d@e"),
        ("gate@home.mp4", "gate@home.mp4"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_an_address_is_shown_without_who_may_see(url: str, shown: str) -> None:
    assert without_login(url) == shown
