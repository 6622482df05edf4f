"""Calls that cost more wait longer: partitions, and streams in them, have equal shares of cost."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Lock
from time import sleep

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.worker.fair_executor import FairExecutor
from tests.world import Steps

BOMB, PICTURE = 1_000, 10


class Turns:
    """A fair executor whose calls run when the test says so, and the order in which they ran."""

    def __init__(self, *, most_running: int = BOMB) -> None:
        self.steps, self.ran = Steps(), list[str]()
        self.executor = FairExecutor[None](self.steps, most_running=most_running)

    def submit(self, name: str, *, partition: int = 0, cost: int = PICTURE) -> Future[None]:
        """Submit a call of the stream that the name begins with."""
        call: Callable[[], None] = lambda: self.ran.append(name)  # noqa: E731
        return self.executor.submit(partition, name[:1], call, cost=cost)

    def drain(self) -> str:
        self.steps.run_all()
        return " ".join(self.ran)


@pytest.fixture
def turns() -> Turns:
    return Turns()


def test_partitions_take_turns_and_keep_their_order(turns: Turns) -> None:
    for partition, names in enumerate(("a0 a1 a2 a3", "b0 b1", "c0 c1 c2")):
        for name in names.split():
            turns.submit(name, partition=partition)
    assert turns.drain() == "a0 b0 c0 a1 b1 c1 a2 c2 a3"


def test_streams_of_a_partition_take_turns_and_keep_their_order(turns: Turns) -> None:
    for name in ["a0", "a1", "a2", "a3", "b0", "b1", "c0", "c1", "c2"]:
        turns.submit(name)
    assert turns.drain() == "a0 b0 c0 a1 b1 c1 a2 c2 a3"


@pytest.mark.parametrize("partition", [0, 1])
def test_a_stream_waits_for_one_costly_picture_of_another_and_not_for_its_backlog(
    turns: Turns, partition: int
) -> None:
    for number in range(3):
        turns.submit(f"b{number}", cost=BOMB)
    turns.steps.run_next()  # a bomb is in the decoder
    for number in range(5):
        turns.submit(f"g{number}", partition=partition)
    assert turns.drain() == "b0 g0 g1 g2 g3 g4 b1 b2"


def test_many_streams_with_one_costly_picture_each_do_not_delay_the_one_before_them(
    turns: Turns,
) -> None:
    for name in ("g0", "g1", "g2"):
        turns.submit(name)
    for stream in "abcdef":
        turns.submit(stream, cost=BOMB)
    assert turns.drain() == "g0 g1 g2 a b c d e f"


def test_a_costly_picture_has_its_turn_beside_a_stream_that_never_pauses(turns: Turns) -> None:
    turns.submit("b", cost=BOMB)
    for number in range(2 * BOMB // PICTURE):
        turns.submit(f"g{number}")
        turns.steps.run_next()
    assert turns.ran.index("b") == BOMB // PICTURE - 1


def test_what_one_stream_has_in_the_decoders_is_bounded_and_others_use_the_rest() -> None:
    steps, nested = Steps(), list[str]()
    executor = FairExecutor[None](steps, most_running=BOMB)

    def first() -> None:
        nested.append("b0 begins")
        steps.run_next()  # a second thread is free
        steps.run_next()
        nested.append("b0 ends")

    executor.submit(0, "b", first, cost=BOMB)
    executor.submit(0, "b", lambda: nested.append("b1"), cost=BOMB)
    executor.submit(0, "g", lambda: nested.append("g"), cost=PICTURE)
    steps.run_next()  # g
    steps.run_all()
    assert nested == ["g", "b0 begins", "b0 ends", "b1"]


CALLS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.integers(1, 50), st.booleans()),
    max_size=40,
)


class Running:
    """Counts what the calls of each stream cost that run at the same time."""

    def __init__(self) -> None:
        self.lock, self.now, self.most = Lock(), Counter[str](), 0

    def call(self, stream: str, cost: int) -> None:
        with self.lock:
            self.now[stream] += cost
            self.most = max(self.most, self.now[stream])
        sleep(0)  # other threads get their turn
        with self.lock:
            self.now[stream] -= cost


@given(CALLS)
@settings(max_examples=50, deadline=2_000)
def test_every_call_runs_unless_it_is_cancelled_and_streams_keep_to_their_bound(
    calls: list[tuple[int, str, int, bool]],
) -> None:
    running = Running()
    with ThreadPoolExecutor(4) as pool:
        executor = FairExecutor[None](pool, most_running=60)
        futures = [
            executor.submit(
                n, f"{n}{stream}", partial(running.call, f"{n}{stream}", cost), cost=cost
            )
            for n, stream, cost, _ in calls
        ]
        cancelled = [f.cancel() for f, (*_, cancel) in zip(futures, calls, strict=True) if cancel]
        for future in futures:
            if not future.cancelled():
                future.result(5)
    assert sum(f.cancelled() for f in futures) == sum(cancelled)
    assert running.most <= 60


@given(CALLS)
def test_the_calls_of_a_stream_run_in_their_order(calls: list[tuple[int, str, int, bool]]) -> None:
    turns = Turns()
    for number, (partition, stream, cost, _) in enumerate(calls):
        turns.submit(f"{stream}{partition} {number}", partition=partition, cost=cost)
    turns.drain()
    for place in {name.split()[0] for name in turns.ran}:
        numbers = [int(name.split()[1]) for name in turns.ran if name.startswith(place)]
        assert numbers == sorted(numbers)
    assert len(turns.ran) == len(calls)


def test_what_is_cancelled_costs_nobody_a_turn(turns: Turns) -> None:
    first, *_ = (turns.submit(name, partition=int(name[1])) for name in ("a0", "a0", "b1"))
    assert first.cancel()
    assert turns.drain() == "a0 b1"
    assert first.cancelled()


def test_an_error_is_told_to_the_caller() -> None:
    def fail() -> None:
        raise ValueError("no picture")

    with ThreadPoolExecutor(2) as pool:
        executor = FairExecutor[None](pool, most_running=BOMB)
        futures = [
            executor.submit(0, "a", fail, cost=1),
            executor.submit(0, "a", lambda: None, cost=1),
        ]
        with pytest.raises(ValueError, match="no picture"):
            futures[0].result(5)
        assert futures[1].result(5) is None
