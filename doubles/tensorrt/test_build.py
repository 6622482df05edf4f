"""What the double's builder wants, and what it says when it does not get it."""

from collections.abc import Callable
from typing import Any

import pytest

from doubles.tensorrt import models
from doubles.tensorrt.models import LINES


def test_tf32_is_on_until_it_is_cleared(bench: Any) -> None:
    tf32 = bench.trt.BuilderFlag.TF32
    assert bench.config.get_flag(tf32)
    bench.config.clear_flag(tf32)
    assert not bench.config.get_flag(tf32)
    assert bench.config.flags == 0


def test_free_dimensions_without_a_profile_are_refused(bench: Any) -> None:
    assert bench.parser.parse(models.doubling())
    assert bench.build() is None
    assert bench.log.said("no optimization profile has been defined")


def test_a_free_input_that_a_profile_leaves_out_is_refused(bench: Any) -> None:
    assert bench.parser.parse(models.encoder_and_cell())
    bench.profile({"memory": ((1, 3), (2, 3), (4, 3))})
    assert bench.build() is None
    assert bench.log.said("Dynamic input frames is missing dimensions in profile 0")


@pytest.mark.parametrize(
    ("shapes", "what"),
    [
        ({"x": ((1, 32), (2, 32), (4, 32))}, "the network (-1, 64)"),
        ({"x": ((1,), (2,), (4,))}, "the network (-1, 64)"),
        ({**LINES, "z": ((1,), (2,), (4,))}, "names z, which is no input"),
    ],
)
def test_a_profile_that_does_not_fit_the_network_is_refused(
    bench: Any, shapes: Any, what: str
) -> None:
    assert bench.parser.parse(models.doubling())
    bench.profile(shapes)
    assert bench.build() is None
    assert bench.log.said(what)


def test_a_profile_out_of_order_raises_and_is_not_taken_afterwards(bench: Any) -> None:
    profile = bench.builder.create_optimization_profile()
    with pytest.raises(ValueError, match="does not hold"):
        profile.set_shape("x", (4, 64), (2, 64), (1, 64))
    assert not profile
    assert bench.config.add_optimization_profile(profile) == -1


def test_profiles_are_numbered(bench: Any) -> None:
    assert [bench.profile(LINES), bench.profile(LINES)] == [0, 1]
    assert bench.config.num_optimization_profiles == 2


def test_a_network_of_fixed_shapes_needs_no_profile(bench: Any) -> None:
    engine = bench.engine(models.binary("Add", models.INT64, models.INT64))
    assert engine.num_optimization_profiles == 1
    assert engine.get_tensor_dtype("a") == bench.trt.DataType.INT64


def test_an_empty_network_is_refused(bench: Any) -> None:
    assert bench.build() is None
    assert bench.log.said("at least one output")


def test_with_a_recorder_errors_go_there_and_not_into_the_log(bench: Any, recorder: Any) -> None:
    bench.builder.error_recorder = recorder
    assert bench.build() is None
    assert [code for code, _ in recorder.errors] == [bench.trt.ErrorCodeTRT.INVALID_CONFIG]
    assert bench.log.lines == []


@pytest.mark.parametrize("wrong", [None, "a log"])
def test_objects_of_other_types_are_refused_as_pybind_does(bench: Any, wrong: object) -> None:
    trt = bench.trt
    calls: list[Callable[[], object]] = [
        lambda: trt.Builder(wrong),
        lambda: trt.Runtime(wrong),
        lambda: trt.OnnxParser(wrong, bench.log),
        lambda: bench.builder.build_serialized_network(bench.network, wrong),
        lambda: bench.config.clear_flag(wrong),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()


def test_a_plan_is_a_buffer_and_nothing_else(bench: Any) -> None:
    assert bench.parser.parse(models.doubling())
    bench.profile(LINES)
    plan = bench.build()
    assert plan.nbytes == len(bytes(memoryview(plan)))
    with pytest.raises(TypeError):
        len(plan)
    with pytest.raises(AttributeError):
        plan.startswith(b"")


def test_a_log_whose_base_was_not_made_is_refused(bench: Any) -> None:
    class Bad(bench.trt.ILogger):
        def __init__(self) -> None:
            """The mistake."""

    with pytest.raises(TypeError, match="must be called when overriding"):
        Bad()


class TestTimingCaches:
    def test_what_a_build_measured_comes_back(self, bench: Any) -> None:
        config = bench.config
        assert config.get_timing_cache() is None
        assert config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
        empty = bytes(memoryview(config.get_timing_cache().serialize()))
        bench.plan(models.doubling(), LINES)
        kept = bytes(memoryview(config.get_timing_cache().serialize()))
        assert kept != empty
        again = config.create_timing_cache(kept)
        assert bytes(memoryview(again.serialize())) == kept

    def test_damaged_ones_are_refused(self, bench: Any) -> None:
        assert bench.config.create_timing_cache(b"something else") is None
        assert bench.log.said("no timing cache")

    def test_those_of_another_version_are_refused(
        self, bench: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = bench.config.create_timing_cache(b"")
        monkeypatch.setenv("DOUBLE_TENSORRT_VERSION", "11.5.0.1")
        assert not bench.config.set_timing_cache(old, ignore_mismatch=True)
        assert not bench.config.create_timing_cache(b"").combine(old, ignore_mismatch=True)

    def test_those_of_another_gpu_are_taken_only_when_that_is_wanted(
        self, bench: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = bench.config.create_timing_cache(b"")
        monkeypatch.setenv("DOUBLE_GPU", "another one")
        config = bench.builder.create_builder_config()
        assert not config.set_timing_cache(old, ignore_mismatch=False)
        assert config.set_timing_cache(old, ignore_mismatch=True)

    def test_two_of_one_version_are_combined(self, bench: Any, second_bench: Any) -> None:
        one, other = bench, second_bench
        for config in (one.config, other.config):
            config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
        one.plan(models.doubling(), LINES)
        other.plan(models.unary("Tanh", models.FLOAT, models.FLOAT))
        whole = other.config.get_timing_cache()
        assert whole.combine(one.config.get_timing_cache(), ignore_mismatch=False)
        assert b'["Add", "Tanh"]' in bytes(memoryview(whole.serialize()))


class TestProgress:
    def test_phases_and_steps_are_told_in_order(self, bench: Any) -> None:
        told = _watch(bench, stop_at=None)
        assert bench.build() is not None
        layers = bench.network.num_layers
        assert told[0] == ("start", "Building the engine", None, 2)
        assert told[1] == ("start", "Timing layers", "Building the engine", layers)
        assert told[2 : 2 + layers] == [("step", "Timing layers", i) for i in range(layers)]
        assert told[-1] == ("finish", "Building the engine")

    def test_a_build_can_be_stopped(self, bench: Any) -> None:
        told = _watch(bench, stop_at=3)
        assert bench.build() is None
        assert bench.log.said("cancelled by the progress monitor")
        finished = [("finish", "Timing layers"), ("finish", "Building the engine")]
        assert told[-3:] == [("step", "Timing layers", 3), *finished]


def _watch(bench: Any, stop_at: int | None) -> list[tuple[object, ...]]:
    told: list[tuple[object, ...]] = []

    class Monitor(bench.trt.IProgressMonitor):
        def phase_start(self, *what: object) -> None:
            told.append(("start", *what))

        def step_complete(self, phase: str, step: int) -> bool:
            told.append(("step", phase, step))
            return step != stop_at

        def phase_finish(self, phase: str) -> None:
            told.append(("finish", phase))

    assert bench.parser.parse(models.encoder_and_cell())
    bench.profile({"frames": ((1, 6, 5, 3),) * 3, "memory": ((1, 3),) * 3})
    bench.config.progress_monitor = Monitor()
    return told
