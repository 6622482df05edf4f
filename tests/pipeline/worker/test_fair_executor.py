"""The first frame of each partition is decoded before the second of any."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.worker.fair_executor import FairExecutor
from tests.world import Steps


def drained(steps: Steps) -> None:
    while steps.waiting:
        steps.run_next()


def test_partitions_take_turns_and_keep_their_order() -> None:
    steps, done = Steps(), list[tuple[int, int]]()
    executor = FairExecutor[None](steps)
    for partition, count in ((0, 4), (1, 2), (2, 3)):
        for number in range(count):
            executor.submit(partition, lambda p=partition, n=number: done.append((p, n)))  # type: ignore[misc]
    drained(steps)
    assert done == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2), (2, 2), (0, 3)]


def test_what_is_cancelled_costs_nobody_a_turn() -> None:
    steps = Steps()
    executor = FairExecutor[int](steps)
    first, second, other = (executor.submit(p, lambda p=p: p) for p in (0, 0, 1))  # type: ignore[misc]
    assert first.cancel()
    drained(steps)
    assert first.cancelled()
    assert (second.result(0), other.result(0)) == (0, 1)


def test_an_error_is_told_to_the_caller() -> None:
    def fail() -> None:
        raise ValueError("no picture")

    with ThreadPoolExecutor(2) as pool:
        executor = FairExecutor[None](pool)
        futures = [executor.submit(0, fail), executor.submit(0, lambda: None)]
        with pytest.raises(ValueError, match="no picture"):
            futures[0].result(5)
        assert futures[1].result(5) is None
