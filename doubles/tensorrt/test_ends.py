"""Memory that a context works in, and the order in which objects have to end."""

from typing import Any

import numpy as np
import pytest

from doubles.tensorrt import models
from doubles.tensorrt.doubler import Doubler, broken
from doubles.tensorrt.models import LINES


class TestMemoryOfOnesOwn:
    @pytest.fixture
    def own(self, bench: Any, gpu: Any) -> Doubler:
        strategy = bench.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        return Doubler(bench, gpu, strategy=strategy)

    def test_it_must_be_given(self, own: Doubler, gpu: Any) -> None:
        assert not own.context.execute_async_v3(gpu.stream)

    def test_it_must_be_large_enough(self, own: Doubler, gpu: Any) -> None:
        size = own.engine.get_device_memory_size_for_profile_v2(0)
        own.context.set_device_memory(gpu.empty(size), size - 1)
        assert not own.context.execute_async_v3(gpu.stream)

    def test_it_is_written_over_by_each_run(self, own: Doubler, gpu: Any) -> None:
        size = own.engine.device_memory_size_v2
        memory = gpu.put(np.zeros(size, np.uint8))
        own.context.set_device_memory(memory, size)
        assert own.context.execute_async_v3(gpu.stream)
        assert gpu.get(memory, np.empty(size, np.uint8)).all()


class TestEnds:
    def test_in_the_right_order_they_are_silent(
        self, bench: Any, gpu: Any, misuses: list[str]
    ) -> None:
        doubler = Doubler(bench, gpu)
        del doubler.context
        del doubler.engine
        del bench.runtime
        assert misuses == []

    def test_an_engine_before_its_context_is_reported(
        self, bench: Any, gpu: Any, misuses: list[str]
    ) -> None:
        doubler = Doubler(bench, gpu)
        del doubler.engine
        assert misuses == ["an engine was let go of before its contexts"]
        assert doubler.context.engine is None

    def test_a_runtime_before_its_engine_is_reported(self, bench: Any, misuses: list[str]) -> None:
        engine = bench.engine(models.doubling(), LINES)
        del bench.runtime
        assert misuses == ["a runtime was let go of before its engines"]
        assert engine.num_layers == 1

    def test_a_context_before_its_run_is_reported_and_breaks_the_stream(
        self, bench: Any, gpu: Any, misuses: list[str]
    ) -> None:
        doubler = Doubler(bench, gpu)
        assert doubler.context.execute_async_v3(gpu.stream)
        del doubler.context
        assert misuses == ["a context was let go of before its runs had finished"]
        assert broken(gpu)

    def test_a_graph_does_not_outlive_its_context(
        self, bench: Any, gpu: Any, misuses: list[str]
    ) -> None:
        doubler = Doubler(bench, gpu)
        assert doubler.context.execute_async_v3(gpu.stream)
        gpu.wait()
        launch = gpu.capture(lambda: doubler.context.execute_async_v3(gpu.stream))
        del doubler.context
        launch()
        assert broken(gpu)
        assert misuses == ["a run was reached after its context had ended"]
