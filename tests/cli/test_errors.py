"""Errors that a user meets before any broker is asked: one clear line, an exit code of its own."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engines.errors import BuildError, EngineError
from pipeline.cli.main import exit_code
from pipeline.errors import (
    BrokerUnavailableError,
    CameraLostError,
    CommitRefusedError,
    LongtakeError,
    LossReason,
    TopicError,
)
from tests.cli.commands import Ended, Longtake, Start, environment

NOBODY = "127.0.0.1:1"


def test_a_broker_that_cannot_be_reached(start: Start, tiny: Path, clip: Path) -> None:
    idle = ("--bundle", tiny, "--metrics-port", "0", "--engine", "onnxruntime")
    commands = (
        start("worker", *idle, "--bootstrap", NOBODY),
        start("camera", clip, "--stream", "cam-1", "--bootstrap", NOBODY),
        start("topics", "check", "--bootstrap", NOBODY),
        start("tail", "--bootstrap", NOBODY),
        start("audit", "--bootstrap", NOBODY),
    )
    for ended in [command.ended() for command in commands]:
        assert ended.code == 10
        assert f"no Kafka answers at {NOBODY}" in ended.complaint
        assert "`longtake broker` starts one" in ended.complaint
        assert len(ended.err.splitlines()) == 1  # the client's own lamentations stay unheard


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TopicError("frames is missing"), 11),
        (BrokerUnavailableError("no answer"), 10),
        (BuildError("refused"), 34),
        (EngineError("any other"), 1),
        (CommitRefusedError("the generation is over"), 1),
        (CameraLostError(LossReason.STALLED, "no picture for 5 s"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_a_broker_that_is_away_ends_with_10(
    error: LongtakeError | EngineError, code: int
) -> None:
    assert exit_code(error) == code


def test_a_wrong_key_in_the_file_is_named_with_those_that_are_known(
    longtake: Longtake, tmp_path: Path
) -> None:
    (tmp_path / "longtake.toml").write_text('gruop = "mine"\n', "utf-8")
    ended = longtake("worker", "--config", "longtake.toml")
    assert ended.code == 2
    assert (
        "gruop: no such setting; did you mean group?; known are bootstrap, bundle"
        in ended.complaint
    )


def test_a_wrong_variable_in_the_environment_is_named_with_those_that_are_known(
    longtake: Longtake,
) -> None:
    ended = longtake("worker", LONGTAKE_GRUOP="mine")
    assert ended.code == 2
    assert "LONGTAKE_GRUOP, which longtake does not know; known are" in ended.complaint


def test_a_wrong_flag_is_named_with_the_one_that_was_meant(longtake: Longtake) -> None:
    ended = longtake("worker", "--gruop", "mine")
    assert ended.code == 2
    assert "No such option: --gruop" in ended.err
    assert "--group" in ended.err


def test_a_wrong_value_is_named_with_its_key(longtake: Longtake) -> None:
    ended = longtake("worker", "--threads", "0")
    assert ended.code == 2
    assert "engine_threads = 0: Input should be greater than" in ended.complaint


def test_a_configuration_file_that_is_not_there(longtake: Longtake) -> None:
    ended = longtake("topics", "check", "--config", "nowhere.toml")
    assert ended.code == 2
    assert "there is no configuration file nowhere.toml" in ended.complaint


def test_a_damaged_bundle_is_named_with_its_file(
    longtake: Longtake, tiny: Path, clip: Path, tmp_path: Path
) -> None:
    damaged = shutil.copytree(tiny, tmp_path / "damaged")
    with (damaged / "head.onnx").open("ab") as file:
        file.write(b"x")
    ended = longtake("run", clip, "--bundle", damaged)
    assert ended.code == 30
    assert "damaged: head.onnx is damaged or was changed" in ended.complaint
    assert "copy the bundle again" in ended.complaint


def test_a_bundle_that_is_not_shipped_is_named_with_the_way_to_a_folder(
    longtake: Longtake, clip: Path
) -> None:
    ended = longtake("run", clip, "--bundle", "mine")
    assert ended.code == 30
    assert "no bundle named 'mine' is shipped" in ended.complaint
    assert "write ./mine" in ended.complaint


def test_a_source_that_is_not_there(longtake: Longtake, tiny: Path) -> None:
    ended = longtake("run", "nowhere.mp4", "--bundle", tiny)
    assert ended.code == 18
    assert ended.complaint == (
        "nowhere.mp4: no such file or device; check the path"
        " (an address has `://`: rtsp://, http://, ...)"
    )


def test_a_name_that_looks_like_markup_is_shown_as_it_is(longtake: Longtake, tiny: Path) -> None:
    ended = longtake("run", "[bold]clip[/].mp4", "--bundle", tiny)
    assert ended.complaint.startswith("[bold]clip[/].mp4: no such file")


def test_a_source_that_is_no_video(longtake: Longtake, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("Dear reader,", "utf-8")
    ended = longtake("run", "letter.mp4", "--bundle", tiny)
    assert ended.code == 18
    assert "letter.mp4: no video that can be read" in ended.complaint


def test_a_full_disk_is_named_with_the_file(longtake: Longtake, tiny: Path, clip: Path) -> None:
    ended = longtake("run", clip, "--bundle", tiny, "--output", "/dev/full")
    assert ended.code == 19
    assert ended.complaint == "cannot write /dev/full: No space left on device"


def test_the_demo_finds_out_first_whether_its_report_can_be_written(longtake: Longtake) -> None:
    ended = longtake("demo", "--memory", "--json", "/nowhere/demo.json")
    assert ended.code == 19
    assert ended.complaint == "cannot write /nowhere/demo.json: No such file or directory"


@pytest.mark.parametrize("options", [["--json"], []], ids=["summary", "predictions"])
def test_standard_output_on_a_full_disk(
    longtake: Longtake, tiny: Path, clip: Path, options: list[str]
) -> None:
    ended = longtake("run", clip, "--bundle", tiny, *options, out=Path("/dev/full"))
    assert ended.code == 19
    assert "No space left on device" in ended.complaint


def test_a_broker_port_that_is_taken(longtake: Longtake, taken: str) -> None:
    ended = longtake("broker", "--port", taken)
    assert ended.code == 17
    assert f"port {taken} on 127.0.0.1 is taken" in ended.complaint


def test_without_crc32c_no_worker_starts(tiny: Path) -> None:
    hidden = "import sys; sys.modules['crc32c'] = None; from pipeline.cli.main import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", hidden, "worker", "--bundle", tiny, "--bootstrap", NOBODY],
        capture_output=True, env=environment(), timeout=30, encoding="utf-8", check=False,
    )  # fmt: skip
    ended = Ended(process.returncode, process.stdout, process.stderr)
    assert ended.code == 20
    assert "`pip install crc32c`" in ended.complaint


def test_no_message_tells_to_install_longtake_from_a_registry() -> None:
    """It is on none: anyone could register the name, and be run by those who follow the hint."""
    root = Path(__file__).parents[2]
    sources = [
        *root.glob("pipeline/**/*.py"),
        *root.glob("engines/**/*.py"),
        *root.glob("docs/*.md"),
    ]
    hints = {str(one): one.read_text() for one in (*sources, root / "README.md")}
    registry = re.compile(r"longtake\[|pip install longtake")
    assert [name for name, text in hints.items() if registry.search(text)] == []
