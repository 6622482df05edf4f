"""`longtake probe`: what a person reads, what a script reads, and what nobody may read."""

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.cameras.probing.fitness import Fitness
from pipeline.cameras.probing.probe import Probed
from tests.cameras.mjpeg import MjpegCamera, MjpegServer
from tests.cli.commands import Longtake

SECRET = "gehe@im"  # noqa: S105 - a camera of our own


def test_a_camera_that_suits_is_told_in_one_json_object(longtake: Longtake) -> None:
    with MjpegServer(MjpegCamera("gate", fps=15)) as server:
        ended = longtake("probe", server.url("gate"), "--seconds", "1", "--json")
    told = ended.json
    assert (ended.code, told["suits"], told["against"]) == (0, True, [])
    assert told["bundle"].startswith("actions@")
    named = [field.name for kind in (Probed, Fitness) for field in fields(kind)]
    assert sorted(told) == sorted(["source", *named, "bundle", "suits"])


def test_what_does_not_suit_ends_with_1_and_says_why(longtake: Longtake, clip: Path) -> None:
    ended = longtake("probe", clip)
    assert ended.code == 1
    assert re.search(r"size +64 x 48 *\n", ended.out)
    assert re.search(r"frames a second +20.00 measured, 2", ended.out)
    assert "does not suit actions@" in ended.out
    assert "64 x 48 is smaller than the model's 96 x 96" in ended.out


def test_a_login_comes_from_the_environment_and_is_shown_nowhere(longtake: Longtake) -> None:
    camera = MjpegCamera("gate", fps=15)
    camera.login = f"admin:{SECRET}"
    with MjpegServer(camera) as server:
        url = server.url("gate", login="${GATE_LOGIN}")
        right = longtake("probe", url, "--seconds", "1", "--json", GATE_LOGIN=camera.login)
        wrong = longtake("probe", url, GATE_LOGIN="admin:geraten")
    assert (right.code, wrong.code) == (0, 18)
    assert "the camera refuses the login; give it as" in wrong.complaint
    assert not any(secret in right.out + right.err for secret in (SECRET, "gehe%40im", "admin"))
    assert "geraten" not in wrong.out + wrong.err


def test_a_variable_that_is_not_set_is_named(longtake: Longtake) -> None:
    ended = longtake("probe", "rtsp://${GATE_LOGIN}@127.0.0.1/x")
    assert ended.code == 2
    assert "GATE_LOGIN" in ended.complaint


def test_the_picture_shows_the_views_and_hides_what_masks_cover(
    longtake: Longtake, clip: Path, tmp_path: Path
) -> None:
    file, picture = tmp_path / "cameras.toml", tmp_path / "gate.png"
    file.write_text(
        f"""
        [camera.gate]
        url = "{clip}"
        mask = ["0,24,32,24"]
        views = {{ door = "32,8,30,32", far = "60,0,9,9" }}
        """
    )
    ended = longtake("probe", "gate", "--config", file, "--picture", picture)
    assert ended.code == 1
    assert "door: 30 x 32 is smaller than the model's 96 x 96" in ended.out
    assert "far: its crop 60,0,9,9 reaches beyond the picture, which is 64 x 48" in ended.out
    assert re.search(r"door +30 x 32 from 32, 8 on", ended.out)
    assert "can be published" not in ended.out  # its H.264 has what masks cover
    pixels = np.asarray(Image.open(picture)).astype(int)  # (H, W, 3)
    assert pixels.shape == (48, 64, 3)
    assert pixels[24:, :32].max() == 0
    assert pixels[4, 4, 0] > 150  # the clip's left half is red
    assert pixels[25, 33].min() < 90 < pixels[25, 33].max()  # the outline of door
    assert pixels[4, 40].max() < 40


def test_no_picture_is_written_if_a_mask_does_not_fit(
    longtake: Longtake, clip: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "gate.png"
    ended = longtake("probe", clip, "--picture", picture, "--mask", "60,0,9,9")
    assert ended.code == 18
    assert "its mask 60,0,9,9 reaches beyond the picture, which is 64 x 48" in ended.complaint
    assert not picture.exists()


def test_a_camera_of_a_file_is_named_and_has_its_own_options(
    longtake: Longtake, tmp_path: Path
) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text('[camera.gate]\nurl = "gate.mp4"\n')
    wrong = longtake("probe", "yard", "--config", file)
    assert (wrong.code, "has no camera 'yard'; it has gate" in wrong.err) == (2, True)
    both = longtake("probe", "gate", "--config", file, "--crop", "0,0,1,1")
    assert (both.code, "says what the file says" in both.err) == (2, True)
