"""What a camera's address must not be shown is found nowhere that a process writes or shows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cameras.hostile import Page, canary, reply, rtsp, web
from tests.cameras.mjpeg import MjpegCamera, MjpegServer
from tests.cli.commands import Longtake, Running, Start, until
from tests.pipeline.media.opening.sources import video

TOKEN = "0123456789abcdefT0k3n"  # noqa: S105
SECRETS = ("S3cr3t", "T0k3n", "us3r")


def leaked(*texts: str) -> list[str]:
    return [secret for secret in SECRETS for text in texts if secret in text]


def of_files(folder: Path) -> str:
    """Return the names and the bytes of all files."""
    files = [one for one in folder.rglob("*") if one.is_file()]
    return "".join(f"{one.name}\n{one.read_bytes()!r}\n" for one in files)


def children(pid: int) -> list[str]:
    """Return the command lines of a process' children."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [Path(f"/proc/{one}/cmdline").read_text() for one in found]


def test_what_run_writes_and_shows_has_no_secret_of_the_address(
    longtake: Longtake, tiny: Path, tmp_path: Path
) -> None:
    film = video(tmp_path / "film")
    (tmp_path / "film").unlink()
    with web({f"/{TOKEN}/{TOKEN}.ts": Page(film, login=True)}) as server:
        url = f"http://us3r:S3cr3t@{server.at}/{TOKEN}/{TOKEN}.ts?t=T0k3n#T0k3n"
        files = ["--output", "out.jsonl", "--overlay", "seen.mp4"]
        ended = longtake("run", url, "--bundle", tiny, "--json", *files)
    assert (ended.code, (tmp_path / "seen.mp4").exists()) == (0, True)
    assert leaked(ended.out, ended.err, of_files(tmp_path)) == []


@pytest.fixture
def moving() -> Iterator[str]:
    """An RTSP server that sends us elsewhere, with the login in its reply."""
    with canary() as spied:
        moved = reply("302 Found", f"Location: rtsp://us3r:S3cr3t@{spied.at}/T0k3n")
        with rtsp(lambda *_: moved) as server:
            yield f"rtsp://us3r:S3cr3t@{server.at}/{TOKEN}"
        assert spied.calls == []


def test_what_probe_and_run_say_of_a_refused_camera_has_no_secret(
    moving: str, longtake: Longtake, tiny: Path
) -> None:
    for words in (["probe", moving, "--bundle", tiny], ["run", moving, "--bundle", tiny]):
        ended = longtake(*words)
        assert ended.code == 18
        assert "another address" in ended.complaint
        assert leaked(ended.out, ended.err) == []


def cameras(folder: Path, *entries: str) -> Path:
    file = folder / "cameras.toml"
    head = f"bootstrap = '127.0.0.1:1'\nmetrics_port = 0\nspool = '{folder}/spool.db'\n"
    file.write_text(head + "\n".join(entries))
    return file


def live(camera: Running) -> bool:
    return camera.metric('longtake_camera_state{camera="gate",state="live"}') == 1


def test_a_rotated_secret_is_used_without_a_restart_and_is_shown_nowhere(
    start: Start, tmp_path: Path, moving: str
) -> None:
    gate, login = MjpegCamera("gate"), tmp_path / "login"
    gate.login = "us3r:S3cr3t"
    login.write_text(gate.login)
    with MjpegServer(gate) as server:
        url = server.url("gate", login=f"${{file:{login}}}")
        entries = f"[camera.gate]\nurl = '{url}'", f"[camera.yard]\nurl = '{moving}'"
        camera = start("camera", "--config", cameras(tmp_path, *entries))
        until(lambda: live(camera), "gate live")
        gate.login, gate.closes_after = "us3r:S3cr3t2", 1
        camera.says("gate: refused: the camera refuses the login")
        gate.closes_after = 0
        login.write_text(gate.login)
        until(lambda: live(camera), "gate live again")
    camera.says("yard: refused: it refers to another address")
    shown = [camera.log, camera.get("/metrics")[1], *children(camera.process.pid)]
    assert leaked(*shown) == []


URL = "https://me:S3cr3t@shop.example/b?t=S3cr3t"
WRONG_PLACES = (
    ("bundle", "check", URL),
    ("run", "gate.mp4", "--labels", URL),
    ("run", "gate.mp4", f"--overlay={URL}"),
    ("worker", "--kafka", URL),
    ("tail", "--bootstrap", "sasl://me:S3cr3t@kafka:9092"),
    ("tail", "--bootstrap", "me:S3cr3t@kafka:9092"),
    ("reset", "stream", URL),
)


@pytest.mark.parametrize("words", WRONG_PLACES)
def test_a_url_where_something_else_is_wanted_is_shown_without_its_secrets(
    longtake: Longtake, words: tuple[str, ...]
) -> None:
    ended = longtake(*words)
    assert ended.code not in (0, 1)
    assert "S3cr3t" not in ended.out + ended.err
