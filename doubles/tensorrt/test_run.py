"""Plans are loaded, run and captured on the double: the numbers are ONNX Runtime's own."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import onnxruntime
import pytest

from doubles.tensorrt import models
from doubles.tensorrt.models import LINES, H, U, W

BATCH = 2
CAMERAS = {
    "frames": ((1, H, W, 3), (2, H, W, 3), (4, H, W, 3)),
    "memory": ((1, U), (2, U), (4, U)),
}


@pytest.fixture(autouse=True)
def turing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU without TF32: where there is one, it is on unless it is cleared."""
    monkeypatch.setenv("DOUBLE_CAPABILITY", "7.5")


class Camera:
    """The camera model in a context of its own, with memory that is carried on the device."""

    def __init__(self, bench: Any, gpu: Any) -> None:
        self.gpu = gpu
        engine = bench.engine(models.encoder_and_cell(), CAMERAS)
        self.context = engine.create_execution_context()
        self.engine = engine  # behind the context, so that it goes after it
        self.frames = gpu.empty(BATCH * H * W * 3)
        self.before = gpu.put(np.zeros((BATCH, U), np.float32))
        self.after = gpu.empty(BATCH * U * 4)
        assert self.context.set_optimization_profile_async(0, gpu.stream)
        self.shape(BATCH)
        for name, address in (("frames", self.frames), ("memory", self.before)):
            assert self.context.set_tensor_address(name, address)
        assert self.context.set_tensor_address("after", self.after)

    def shape(self, lines: int) -> None:
        assert self.context.set_input_shape("frames", (lines, H, W, 3))
        assert self.context.set_input_shape("memory", (lines, U))

    def settle(self) -> None:
        """Run once, as TensorRT wants before a capture."""
        assert self.context.execute_async_v3(self.gpu.stream)
        self.gpu.wait()

    def step(self) -> None:
        assert self.context.execute_async_v3(self.gpu.stream)
        self.gpu.copy(self.before, self.after, BATCH * U * 4)

    def memory(self) -> "np.ndarray[Any, Any]":
        like = np.empty((BATCH, U), np.float32)
        got: np.ndarray[Any, Any] = self.gpu.get(self.before, like)
        return got


def pictures(count: int) -> "np.ndarray[Any, Any]":
    return np.random.default_rng(3).integers(0, 256, (count, BATCH, H, W, 3), np.uint8)


def expected(frames: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    session = onnxruntime.InferenceSession(models.encoder_and_cell())
    memory = np.zeros((BATCH, U), np.float32)
    for picture in frames:
        (memory,) = session.run(None, {"frames": picture, "memory": memory})
    return memory


def test_two_steps_with_carried_memory_are_onnx_runtimes(bench: Any, gpu: Any) -> None:
    camera, frames = Camera(bench, gpu), pictures(2)
    for picture in frames:
        gpu.write(camera.frames, picture)
        camera.step()
    assert np.array_equal(camera.memory(), expected(frames))


def test_a_captured_step_is_replayed_with_new_pictures(bench: Any, gpu: Any) -> None:
    camera, frames = Camera(bench, gpu), pictures(3)
    camera.settle()
    launch = gpu.capture(camera.step)
    assert not camera.memory().any()  # nothing has run yet
    for picture in frames:
        gpu.write(camera.frames, picture)
        launch()
    assert np.array_equal(camera.memory(), expected(frames))


def test_a_graph_keeps_the_shapes_and_addresses_of_its_capture(bench: Any, gpu: Any) -> None:
    camera, frames = Camera(bench, gpu), pictures(1)
    camera.settle()
    launch = gpu.capture(camera.step)
    camera.shape(1)
    assert camera.context.set_tensor_address("after", gpu.empty(256))
    gpu.write(camera.frames, frames[0])
    launch()
    assert np.array_equal(camera.memory(), expected(frames))


def test_a_run_that_was_never_made_cannot_be_captured(bench: Any, gpu: Any) -> None:
    context = Camera(bench, gpu).context
    answers: list[bool] = []
    gpu.capture(lambda: answers.append(context.execute_async_v3(gpu.stream)))
    assert answers == [False]
    assert bench.log.said("one run must come before the one that is captured")


def test_after_a_new_shape_one_run_must_come_before_a_capture(bench: Any, gpu: Any) -> None:
    camera = Camera(bench, gpu)
    camera.settle()
    camera.shape(BATCH)  # as before, so nothing is put off
    answers: list[bool] = []
    for lines in (BATCH, 1):
        camera.shape(lines)
        gpu.capture(lambda: answers.append(camera.context.execute_async_v3(gpu.stream)))
    assert answers == [True, False]


def test_nothing_runs_before_somebody_waits(bench: Any, gpu: Any) -> None:
    camera = Camera(bench, gpu)
    camera.context.execute_async_v3(gpu.stream)
    gpu.write(camera.frames, pictures(1)[0])  # behind the run, so the run does not see it
    gpu.copy(camera.before, camera.after, BATCH * U * 4)
    assert not np.array_equal(camera.memory(), expected(pictures(1)))


def test_the_engine_tells_what_it_takes(bench: Any) -> None:
    trt, engine = bench.trt, bench.engine(models.encoder_and_cell(), CAMERAS, CAMERAS)
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    assert names == ["frames", "memory", "after"]
    assert engine.get_tensor_mode("after") == trt.TensorIOMode.OUTPUT
    assert engine.get_tensor_mode("frames") == trt.TensorIOMode.INPUT
    assert engine.get_tensor_dtype("frames") == trt.DataType.UINT8
    assert tuple(engine.get_tensor_shape("after")) == (-1, U)
    assert engine.get_tensor_location("memory") == trt.TensorLocation.DEVICE
    assert [tuple(d) for d in engine.get_tensor_profile_shape("memory", 1)] == [*CAMERAS["memory"]]
    assert (engine.num_optimization_profiles, engine.num_layers, engine.name) == (2, 8, "small")


def test_a_tensor_that_is_not_there_is_an_error_in_the_log(bench: Any) -> None:
    engine = bench.engine(models.doubling(), LINES)
    assert engine.get_tensor_mode("z") == bench.trt.TensorIOMode.NONE
    assert engine.get_tensor_name(2) is None
    assert bench.log.said("the engine has no tensor z")


def test_an_outputs_shape_follows_from_the_inputs(bench: Any, gpu: Any) -> None:
    context = Camera(bench, gpu).context
    assert tuple(context.get_tensor_shape("after")) == (BATCH, U)
    assert context.set_input_shape("memory", (1, U))
    with pytest.raises(RuntimeError, match="infer_shapes"):  # N has two sizes now
        context.infer_shapes()
    assert not context.execute_async_v3(gpu.stream)


@pytest.mark.parametrize("name", ["N", "another"])
def test_an_output_whose_dimension_has_another_name_is_found_all_the_same(
    bench: Any, gpu: Any, name: str
) -> None:
    engine = bench.engine(models.column(name), LINES)
    context = engine.create_execution_context()
    assert context.set_optimization_profile_async(0, gpu.stream)
    assert context.set_input_shape("x", (3, 64))
    assert tuple(context.get_tensor_shape("y")) == (3,)


class TestPlans:
    @pytest.mark.parametrize("damage", ["", "cut", "bit", "other"])
    def test_only_whole_ones_are_taken(self, bench: Any, damage: str) -> None:
        plan = bench.plan(models.doubling(), LINES)
        flipped = plan[:-1] + bytes([plan[-1] ^ 1])
        changed = {"": plan, "cut": plan[:-9], "bit": flipped, "other": b"a plan?"}[damage]
        assert (bench.runtime.deserialize_cuda_engine(changed) is None) == bool(damage)
        assert bench.log.said("deserializeCudaEngine") == bool(damage)

    @pytest.mark.parametrize(
        ("setting", "value", "told"),
        [
            ("DOUBLE_TENSORRT_VERSION", "11.5.0.1", "expecting 11.5.0.1, got 11.4.0.106"),
            ("DOUBLE_GPU", "another one", "is not compatible with another one"),
        ],
    )
    def test_those_of_another_version_or_gpu_are_refused(
        self, bench: Any, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, told: str
    ) -> None:
        plan = bench.plan(models.doubling(), LINES)
        monkeypatch.setenv(setting, value)
        assert bench.runtime.deserialize_cuda_engine(plan) is None
        assert bench.log.said(told)

    @pytest.mark.parametrize(
        ("made_on", "hardware", "taken"),
        [
            (("A", (8, 6)), "NONE", False),
            (("B", (8, 9)), "NONE", True),
            (("A", (8, 9)), "NONE", False),
            (("A", (8, 6)), "AMPERE_PLUS", True),
            (("A", (7, 5)), "AMPERE_PLUS", False),
            (("A", (8, 9)), "SAME_COMPUTE_CAPABILITY", True),
            (("A", (8, 6)), "SAME_COMPUTE_CAPABILITY", False),
        ],
    )
    def test_those_of_another_gpu_are_refused_unless_built_for_both(
        self, trt: Any, made_on: tuple[str, tuple[int, int]], hardware: str, *, taken: bool
    ) -> None:
        from doubles.tensorrt.driver import Gpu
        from doubles.tensorrt.plan import Plan, unsealed
        from doubles.tensorrt.sealed import SealedError

        level = trt.HardwareCompatibilityLevel.__members__[hardware]
        sealed = Plan(b"graph", [{}]).sealed(Gpu(*made_on, 1), level)
        try:
            assert unsealed(sealed, Gpu("B", (8, 9), 1)).onnx == b"graph"
        except SealedError:
            assert not taken
        else:
            assert taken


@pytest.mark.parametrize(("capability", "rounded"), [("7.5", False), ("8.6", True)])
def test_tf32_costs_bits_where_the_gpu_has_it(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capability: str, *, rounded: bool
) -> None:
    monkeypatch.setenv("DOUBLE_CAPABILITY", capability)
    model = models.encoder_and_cell()
    with_tf32 = bench.plan(model, CAMERAS)
    bench.config.clear_flag(bench.trt.BuilderFlag.TF32)
    assert model in bytes(memoryview(bench.build()))
    assert (model not in with_tf32) == rounded


def test_a_process_that_installs_the_double_imports_it_as_tensorrt(trt: Any) -> None:
    program = """
from doubles.tensorrt import install
install()
import tensorrt
print(tensorrt.Runtime.__module__, tensorrt.__version__, tensorrt.get_nv_onnx_parser_version())
"""
    environment = os.environ | {"DOUBLE_TENSORRT_VERSION": "11.5.2.9"}
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment
    )
    assert ran.stdout.split() == ["doubles.tensorrt.runtime", "11.5.2.9", "110502"]
    assert trt.__version__ == "11.4.0.106"
