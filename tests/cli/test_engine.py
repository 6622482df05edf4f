"""`longtake engine`: what runs bundles here, plans ahead of time, and an engine on trial."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from onnx import TensorProto, helper

from engines.model.bundle import write_bundle
from tests.cli.commands import Ended, Longtake, environment
from tests.engines.bundles import (
    FEATURES,
    LABELS,
    SIDE,
    description,
    floats,
    graph,
    lstm_graph,
    op,
)


def vanishing(path: Path, *, of: Literal["every picture", "the clip"]) -> Path:
    """Write a bundle whose weights are too small for float16: there all pictures are alike."""
    weights = np.zeros((SIDE, SIDE, 3, FEATURES), np.float32)
    if of == "the clip":
        weights[:, :8, 0], weights[:, 8:, 0] = 2e-8, -2e-8  # it is red on its left alone
    else:
        weights[:] = 2e-8
    nodes = [
        op("Cast", ["frames"], ["raw"], to=TensorProto.FLOAT),
        op("Flatten", ["raw"], ["flat"]),
        op("MatMul", ["flat", "weights"], ["little"]),
        op("Mul", ["little", "much"], ["light"]),
        op("Sub", ["light", "dim"], ["bright"]),
        op("Relu", ["bright"], ["features"]),
    ]
    encoder = graph(
        nodes,
        {
            "weights": weights.reshape(-1, FEATURES),
            "much": np.float32(4000),
            "dim": np.float32(1),
        },
        inputs=[helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        outputs=[floats("features", FEATURES)],
    )
    words = description(cell="lstm", activation="softmax", labels=LABELS)
    return write_bundle(path, words, encoder=encoder, head=lstm_graph(np.random.default_rng(0)))


@pytest.fixture
def on_a_gpu(doubles: None, tmp_path: Path) -> Longtake:
    """Run the command where there is a GPU, doubled, with a cache of its own."""
    del doubles

    def run(*arguments: str | Path) -> Ended:
        command = [sys.executable, "-m", "doubles.command", *map(str, arguments)]
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
    assert "pip install '.[tensorrt]'" in told["because"]
    assert told["onnxruntime"]


@pytest.mark.parametrize("command", [("build",), ("verify", "--engine", "tensorrt")])
def test_without_tensorrt_there_is_nothing_to_build(
    longtake: Longtake, command: tuple[str, ...]
) -> None:
    ended = longtake("engine", *command)
    assert ended.code == 33
    assert ended.complaint.startswith("TensorRT is not installed: on a machine")


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


def test_the_report_of_a_gpu_and_its_table_say_what_was_measured_with_what(
    on_a_gpu: Longtake, tiny: Path, clip: Path, tmp_path: Path
) -> None:
    report = tmp_path / "gpu.json"
    command = ("engine", "verify", tiny, "--precision", "float32", "--clip", clip, "--report")
    ended = on_a_gpu(*command, report)
    assert ended.code == 0, ended.err
    told = json.loads(report.read_text())
    assert (told["engine"], told["precision"], told["frames"]) == ("tensorrt", "float32", 20)
    assert all(apart < 1e-4 for apart in told["largest_difference"].values())
    assert told["allowed"] == 1e-4
    assert list(told["frames_per_second"]) == ["1", "2", "4", "8", "16", "32", "64"]
    assert all(rate > 0 for rate in told["frames_per_second"].values())
    assert {"longtake", "numpy", "onnxruntime", "pycuda"} <= set(told["versions"])
    assert "allowed 1e-04" in ended.out
    assert re.search(rf"CUDA graphs +{told['device']['captured']} captured\b", ended.out)
    assert re.search(r"GPU +Double GPU\b", ended.out)


def test_plans_are_made_once_for_each_precision(on_a_gpu: Longtake, tiny: Path) -> None:
    made = [
        on_a_gpu("engine", "build", tiny, "--precision", precision).err
        for precision in ("float16", "float32", "float32")
    ]
    assert "encoder: miss, step: miss" in made[0]
    assert "encoder: miss, step: hit" in made[1]
    assert "encoder: hit, step: hit; built in 0 s" in made[2]


def test_an_engine_that_is_wrong_does_not_serve(on_a_gpu: Longtake, tmp_path: Path) -> None:
    bundle = vanishing(tmp_path / "bundle", of="every picture")
    ended = on_a_gpu("engine", "verify", bundle)
    assert ended.code == 31
    assert re.search(r"scores differ by .*, allowed is 1\.0e-02", ended.complaint)


def test_an_engine_that_is_wrong_on_the_clip_alone_is_found_there(
    on_a_gpu: Longtake, clip: Path, tmp_path: Path
) -> None:
    bundle = vanishing(tmp_path / "bundle", of="the clip")
    report = tmp_path / "gpu.json"
    ended = on_a_gpu("engine", "verify", bundle, "--clip", clip, "--report", report)
    assert ended.code == 31
    found = json.loads(report.read_text())
    assert found["largest_difference"]["alone"] > found["allowed"]
    assert re.match(
        r"tensorrt is not fit to serve tiny@\w+: over 20 frames alone a score is \S+ from"
        r" onnxruntime's, allowed is 1e-02",
        ended.complaint,
    )


def test_a_report_that_cannot_be_written_is_told_before_the_trial(
    longtake: Longtake, tiny: Path, tmp_path: Path
) -> None:
    ended = longtake("engine", "verify", tiny, "--report", tmp_path / "none" / "cpu.json")
    assert ended.code == 19
    assert "cannot write" in ended.complaint


def test_a_clip_without_frames_is_told(longtake: Longtake, tiny: Path, tmp_path: Path) -> None:
    ended = longtake("engine", "verify", tiny, "--clip", tmp_path / "none.mp4")
    assert ended.code == 18
