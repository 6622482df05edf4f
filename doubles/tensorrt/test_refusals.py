"""Ways to use a context wrongly: each is refused, or breaks the stream, as on a GPU."""

import threading
from typing import Any

import numpy as np
import pytest

from doubles.tensorrt import models
from doubles.tensorrt.doubler import LINE, Doubler, broken
from doubles.tensorrt.models import LINES


@pytest.fixture
def doubler(bench: Any, gpu: Any) -> Doubler:
    return Doubler(bench, gpu)


def test_a_ready_context_runs(doubler: Doubler, gpu: Any) -> None:
    gpu.write(doubler.memory, np.ones((2, 64), np.float32))
    assert doubler.context.execute_async_v3(gpu.stream)
    assert (gpu.get(doubler.memory + 8 * LINE, np.empty((2, 64), np.float32)) == 2).all()


def test_a_missing_address_is_refused(doubler: Doubler, gpu: Any, bench: Any) -> None:
    assert doubler.context.set_tensor_address("y", 0)
    assert not doubler.context.execute_async_v3(gpu.stream)
    assert bench.log.said("y has no address")


def test_a_recorder_of_the_runtime_hears_of_its_contexts(
    bench: Any, gpu: Any, recorder: Any
) -> None:
    bench.runtime.error_recorder = recorder
    doubler = Doubler(bench, gpu)
    assert not doubler.context.set_tensor_address("z", 256)
    assert [text for _, text in recorder.errors if "no tensor z" in text]
    assert not bench.log.lines


def test_an_unset_shape_is_refused(bench: Any, gpu: Any) -> None:
    engine = bench.engine(models.doubling(), LINES)
    context = engine.create_execution_context()
    assert context.set_optimization_profile_async(0, gpu.stream)
    assert context.infer_shapes() == ["x"]
    assert not context.all_binding_shapes_specified
    assert tuple(context.get_tensor_shape("y")) == (-1, 64)
    assert not context.execute_async_v3(gpu.stream)


@pytest.mark.parametrize("shape", [(5, 64), (0, 64), (2, 32), (2,)])
def test_a_shape_out_of_the_profile_is_refused_and_the_old_one_stays(
    doubler: Doubler, shape: tuple[int, ...]
) -> None:
    assert not doubler.context.set_input_shape("x", shape)
    assert tuple(doubler.context.get_tensor_shape("x")) == (2, 64)


def test_the_shape_of_an_output_is_refused(doubler: Doubler) -> None:
    assert not doubler.context.set_input_shape("y", (2, 64))


def test_a_shape_before_its_profile_is_refused(bench: Any, gpu: Any) -> None:
    engine = bench.engine(models.doubling(), LINES)
    context = engine.create_execution_context()
    assert not context.set_input_shape("x", (2, 64))
    assert bench.log.said("the profile must be set before the shape of x")
    assert not context.execute_async_v3(gpu.stream)
    assert bench.log.said("no optimization profile is set")


def test_another_profile_forgets_the_shapes(bench: Any, gpu: Any) -> None:
    large = {"x": ((8, 64), (8, 64), (8, 64))}
    context = Doubler(bench, gpu, LINES, large).context
    assert not context.set_input_shape("x", (8, 64))
    assert context.set_optimization_profile_async(1, gpu.stream)
    assert context.infer_shapes() == ["x"]
    assert context.set_input_shape("x", (8, 64))
    assert context.active_optimization_profile == 1
    assert not context.set_optimization_profile_async(2, gpu.stream)


def test_a_profile_whose_stream_is_not_waited_for_breaks_the_run(
    doubler: Doubler, gpu: Any
) -> None:
    other = gpu.new_stream()
    assert doubler.context.set_optimization_profile_async(0, other)
    assert doubler.context.set_input_shape("x", (2, 64))
    assert doubler.context.execute_async_v3(gpu.stream)
    assert broken(gpu)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (0, 1), (1, 0)])
def test_an_output_over_an_input_is_refused(
    doubler: Doubler, gpu: Any, bench: Any, x: int, y: int
) -> None:
    doubler.place(x=x, y=y)
    assert not doubler.context.execute_async_v3(gpu.stream)
    assert bench.log.said("y and x overlap in memory")


def test_neighbours_in_memory_are_no_overlap(doubler: Doubler, gpu: Any) -> None:
    doubler.place(x=0, y=2)
    assert doubler.context.execute_async_v3(gpu.stream)
    assert not broken(gpu)


def test_an_address_that_is_not_aligned_is_refused(doubler: Doubler) -> None:
    assert not doubler.context.set_tensor_address("x", doubler.memory + 64)


@pytest.mark.parametrize("wrong", ["7", 7.0, None, object()])
def test_what_is_no_handle_is_refused_as_pybind_does(doubler: Doubler, wrong: Any) -> None:
    with pytest.raises(TypeError):
        doubler.context.execute_async_v3(wrong)
    with pytest.raises(TypeError):
        doubler.context.set_tensor_address("x", wrong)


def test_the_default_stream_is_warned_of(doubler: Doubler, bench: Any) -> None:
    assert doubler.context.execute_async_v3(0)
    assert bench.log.lines == [
        "WARNING: the default stream costs a cudaDeviceSynchronize() in each enqueueV3()"
    ]


def test_memory_that_was_freed_breaks_the_stream(doubler: Doubler, gpu: Any) -> None:
    doubler.place(y=15)  # one line is left, two are wanted
    assert doubler.context.execute_async_v3(gpu.stream)
    assert broken(gpu)


def test_what_onnx_runtime_raises_breaks_the_stream(
    doubler: Doubler, gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(feeds: object) -> None:
        raise ValueError("a kernel fails")

    monkeypatch.setattr(doubler.engine._loaded, "run", fail)
    doubler.context.get_tensor_shape("x")
    monkeypatch.setattr(doubler.engine._loaded, "output_shapes", lambda _: {"y": (2, 64)})
    assert doubler.context.execute_async_v3(gpu.stream)
    assert broken(gpu)


def test_one_context_may_be_enqueued_twice_on_one_stream(doubler: Doubler, gpu: Any) -> None:
    assert doubler.context.execute_async_v3(gpu.stream)
    assert doubler.context.execute_async_v3(gpu.stream)
    assert not broken(gpu)


def test_one_context_on_two_streams_at_once_breaks(doubler: Doubler, gpu: Any, bench: Any) -> None:
    other = gpu.new_stream()
    assert doubler.context.execute_async_v3(gpu.stream)
    assert not doubler.context.execute_async_v3(other)
    assert bench.log.said("not finished on another stream")
    assert broken(gpu, other)


def test_one_context_may_go_to_another_stream_when_it_has_finished(
    doubler: Doubler, gpu: Any
) -> None:
    other = gpu.new_stream()
    assert doubler.context.execute_async_v3(gpu.stream)
    gpu.wait()
    assert doubler.context.execute_async_v3(other)
    assert not broken(gpu, other)


def test_two_contexts_of_one_engine_work_on_two_streams(bench: Any, gpu: Any) -> None:
    one, stream = Doubler(bench, gpu), gpu.new_stream()
    other = one.engine.create_execution_context()
    assert other.set_optimization_profile_async(0, stream)
    assert other.set_input_shape("x", [4, 64])
    assert other.set_tensor_address("x", one.memory)
    assert other.set_tensor_address("y", one.memory + 12 * LINE)
    gpu.write(one.memory, np.ones((4, 64), np.float32))
    gpu.wait()
    assert one.context.execute_async_v3(gpu.stream)
    assert other.execute_async_v3(stream)
    gpu.wait(stream)
    assert (gpu.get(one.memory, np.empty((16, 64), np.float32))[[8, 9, 12, 15]] == 2).all()


def test_a_context_in_two_threads_at_once_is_refused(
    doubler: Doubler, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    def meanwhile(_: object, line: str) -> None:
        lines.append(line)
        if "default stream" in line:  # of the first thread, which is still inside
            thread = threading.Thread(target=doubler.context.set_input_shape, args=("x", (1, 64)))
            thread.start()
            thread.join()

    monkeypatch.setattr(bench.log, "log", meanwhile)
    assert doubler.context.execute_async_v3(0)
    assert lines[1:] == ["set_input_shape: another thread uses the context"]
    assert tuple(doubler.context.get_tensor_shape("x")) == (2, 64)


def test_the_inputs_event_is_recorded_behind_the_run(doubler: Doubler, gpu: Any) -> None:
    event = gpu.event()
    assert doubler.context.set_input_consumed_event(event)
    assert doubler.context.get_input_consumed_event() == event
    assert gpu.reached(event)  # nothing was enqueued
    assert doubler.context.execute_async_v3(gpu.stream)
    assert not gpu.reached(event)
    gpu.wait()
    assert gpu.reached(event)
