"""`longtake engine`: what runs bundles here, plans ahead of time, and an engine on trial."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Ended, Longtake, environment


@pytest.fixture
def on_a_gpu(doubles: None, tmp_path: Path) -> Longtake:
    """Run the command where there is a GPU, doubled, with a cache of its own."""
    del doubles

    def run(*arguments: str | Path) -> Ended:
        command = [sys.executable, "-m", "tests.doubles.command", *map(str, arguments)]
        ran = subprocess.run(
            command,
            env=environment(LONGTAKE_CACHE=str(tmp_path / "cache")),
            capture_output=True,
            text=True,
            check=False,
        )
        return Ended(ran.returncode, ran.stdout, ran.stderr)

    return run


def test_without_tensorrt_auto_is_the_processor_and_says_what_to_do(longtake: Longtake) -> None:
    told = longtake("engine", "inspect", "--json").json
    assert told["auto"] == "onnxruntime"
    assert "pip install 'longtake[tensorrt]'" in told["because"]
    assert told["onnxruntime"]


@pytest.mark.parametrize("command", [("build",), ("verify", "--engine", "tensorrt")])
def test_without_tensorrt_there_is_nothing_to_build(
    longtake: Longtake, command: tuple[str, ...]
) -> None:
    ended = longtake("engine", *command)
    assert ended.code == 33
    assert ended.complaint.startswith("TensorRT is not installed: pip install")


def test_onnxruntime_on_trial_is_itself(longtake: Longtake, tiny: Path, tmp_path: Path) -> None:
    report = tmp_path / "cpu.json"
    ended = longtake("engine", "verify", tiny, "--frames", "20", "--report", report, "--json")
    assert ended.code == 0
    assert json.loads(report.read_text()) == ended.json
    assert set(ended.json["largest_difference"].values()) == {0.0}
    assert list(ended.json["frames_per_second"]) == ["1", "2", "4", "8", "16", "32", "64"]
    assert "machine" not in ended.json


def test_what_build_has_made_verify_finds(on_a_gpu: Longtake, tiny: Path) -> None:
    assert on_a_gpu("engine", "inspect", "--json").json["gpu"] == "Double GPU"
    built = on_a_gpu("engine", "build", tiny)
    assert (built.code, "encoder: miss, step: miss" in built.err) == (0, True)
    tried = on_a_gpu("engine", "verify", tiny, "--frames", "20", "--json")
    assert tried.code == 0
    assert tried.json["device"]["plans"] == {"encoder": "hit", "step": "hit"}
    assert tried.json["device"]["captured"] > 0
    assert 0 < tried.json["largest_difference"]["alone"] < tried.json["allowed"] == 0.01
    assert tried.json["machine"]["tensorrt"].startswith("11.")


def test_a_report_that_cannot_be_written_is_told_before_the_trial(
    longtake: Longtake, tiny: Path, tmp_path: Path
) -> None:
    ended = longtake("engine", "verify", tiny, "--report", tmp_path / "none" / "cpu.json")
    assert ended.code == 19
    assert "cannot write" in ended.complaint


def test_a_clip_without_frames_is_told(longtake: Longtake, tiny: Path, tmp_path: Path) -> None:
    ended = longtake("engine", "verify", tiny, "--clip", tmp_path / "none.mp4")
    assert ended.code == 18
