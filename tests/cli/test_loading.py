"""A command's process loads what the command needs: that of cameras nothing of workers."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Group, environment

NOBODY = "127.0.0.1:1"
# runs the command; instead of ending at once it says what is loaded by then
RUN = "import os, sys; os._exit = lambda code: print(code, *sys.modules, file=sys.stderr); "
RUN += "from pipeline.cli.main import main; main()"
OF_WORKERS = {
    *(f"pipeline.{room}" for room in ("streams", "delivery", "worker", "judging", "offline")),
    *(f"pipeline.broker.{name}" for name in ("contract", "checkpoint", "kafka.consumer")),
    *(f"engines.{name}" for name in ("onnxrt", "load", "model", "checks", "tensorrt", "train")),
    *("onnxruntime", "onnx", "safetensors"),
}


def loaded(*words: str | Path) -> tuple[int, set[str]]:
    """The exit code of `longtake WORDS`, and the modules that its process has loaded."""
    command = [sys.executable, "-c", RUN, *words]
    ended = subprocess.run(
        command, capture_output=True, env=environment(), text=True, timeout=60, check=True
    )
    code, *modules = ended.stderr.splitlines()[-1].split(" ")
    return int(code), set(modules)


def test_help_of_cameras_loads_nothing_of_workers() -> None:
    code, modules = loaded("camera", "--help")
    assert "pipeline.cameras.camera_service" in modules
    assert (code, modules & OF_WORKERS) == (0, set())


def test_a_camera_whose_broker_is_away_loads_nothing_of_workers(clip: Path) -> None:
    code, modules = loaded("camera", clip, "--stream", "gate", "--bootstrap", NOBODY)
    assert "pipeline.broker.kafka.uplink" in modules
    assert (code, modules & OF_WORKERS) == (10, set())


@pytest.mark.kafka
def test_a_camera_that_has_published_a_clip_has_loaded_nothing_of_workers(
    group: Group, clip: Path
) -> None:
    there = ("--bootstrap", group.cluster.config.bootstrap, "--topic", group.topics.frames)
    code, modules = loaded("camera", clip, "--stream", "gate", "--no-realtime", *there)
    assert len(group.frames(20)) == 20
    assert (code, modules & OF_WORKERS) == (0, set())


def test_the_version_loads_no_command() -> None:
    _, modules = loaded("--version")
    assert {name for name in modules if name.startswith(("pipeline.c", "numpy"))} == {
        *("pipeline.cli", "pipeline.cli.main", "pipeline.cli.commands"),
        *("pipeline.cli.shared", "pipeline.cli.shared.signals"),
    }
