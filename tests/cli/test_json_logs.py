"""With `log_format = "json"` every line that a command writes to standard error is one object."""

import json
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import Ended, Group, Longtake, Start, environment

NOBODY = "127.0.0.1:1"
JSON = ("--log-format", "json")
KEYS = {"time", "level", "logger", "message"}


def lines(written: str) -> list[dict[str, Any]]:
    """Every line, parsed and checked."""
    found = [json.loads(line) for line in written.splitlines()]
    for one in found:
        assert one.keys() - {"exception", "exit_code"} == KEYS
        assert datetime.fromisoformat(one["time"]).utcoffset() is not None
    return found


def end_of(ended: Ended) -> str:
    """The message of the only line, which has the exit code."""
    (line,) = lines(ended.err)
    assert (line["exit_code"], line["level"]) == (ended.code, "ERROR")
    return str(line["message"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("camera", "gate.mp4", "--stream", "gate", "--bootstrap", NOBODY), 10, "no Kafka answers"),
        (("worker", "--gruop", "mine"), 2, "No such option: --gruop"),
        (("worker", "--config", "no\nwhere.toml"), 2, "no\nwhere.toml"),
        (("broker", "--nodes", "9"), 2, "Invalid value"),
    ],
)
def test_an_error_is_one_object_with_the_exit_code(
    longtake: Longtake, arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended = longtake(*arguments, *JSON)
    assert words in end_of(ended)
    assert ended.code == code


def test_the_variable_counts_for_every_command(longtake: Longtake, tiny: Path) -> None:
    ended = longtake("run", "nowhere.mp4", "--bundle", tiny, LONGTAKE_LOG_FORMAT="json")
    assert end_of(ended).startswith("nowhere.mp4: no such file")


def test_a_format_that_does_not_exist_is_refused(longtake: Longtake) -> None:
    ended = longtake("bundle", "list", LONGTAKE_LOG_FORMAT="xml")
    assert ended.code == 2
    assert ended.complaint == "LONGTAKE_LOG_FORMAT = 'xml': wanted text or json"


def test_a_setting_in_the_file_counts_once_the_file_is_read(
    longtake: Longtake, tmp_path: Path
) -> None:
    (tmp_path / "worker.toml").write_text('log_format = "json"\nbundle = "nowhere"\n', "utf-8")
    ended = longtake("worker", "--config", "worker.toml", "--metrics-port", "0")
    assert ended.code == 30
    assert "no bundle named 'nowhere'" in end_of(ended)


def test_a_secret_in_an_argument_is_hidden(longtake: Longtake) -> None:
    ended = longtake("worker", *JSON, "--config", "rtsp://user:geheim@gate/stream")
    assert "geheim" not in ended.err
    assert "gate" in end_of(ended)


def test_a_bug_is_one_object_with_its_traceback(tmp_path: Path) -> None:
    program = """
import sys
import pipeline.cli.main as command
def broken(**flags): raise ValueError("first\\nsecond")
command.app = broken
sys.argv = ["longtake", "worker", "--log-format", "json"]
command.main()"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, env=environment()
    )
    (line,) = lines(ended.stderr.decode())
    assert (ended.returncode, line["exit_code"], line["level"]) == (1, 1, "CRITICAL")
    assert line["message"] == "a bug in longtake"
    assert line["exception"].endswith("ValueError: first\nsecond")


@pytest.mark.kafka
def test_every_line_of_a_worker_and_a_camera_is_an_object(
    group: Group, start: Start, tmp_path: Path, clip: Path
) -> None:
    worker = start("worker", "--config", group.file, *JSON).ready()
    reaching = ("--kafka", _kafka(group, tmp_path), "--topic", group.topics.frames)
    camera = start("camera", clip, "--stream", "gate", *reaching, *JSON)
    assert camera.ended().code == 0
    group.predictions(20)
    assert worker.end(signal.SIGTERM)[0] == 0
    logged = {line["logger"] for line in lines(worker.log)}
    assert logged >= {"pipeline.worker.service", "pipeline.worker.membership"}
    assert lines(camera.log)[-1]["message"].startswith("gate: 20 frames sent")


def _kafka(group: Group, folder: Path) -> str:
    file = folder / "kafka.toml"
    file.write_text(f'bootstrap = "{group.cluster.config.connection.bootstrap}"\n', "utf-8")
    return str(file)
