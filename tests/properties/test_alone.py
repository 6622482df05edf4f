"""No stream affects another one's predictions: promises 1 and 2, under random schedules."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.base import Engine
from engines.model.bundle import Bundle, load_bundle
from engines.onnxrt import onnxruntime_engine
from engines.reference import reference_engine
from pipeline.config import Delivery, Overload
from pipeline.errors import BrokerUnavailableError
from pipeline.records import Fate
from tests.engines.bundles import write_tiny
from tests.gpu import gpu_engine
from tests.thorough import examples
from tests.world import KINDS, POISON, TOPICS, WHITE, CrashError, World, alone

STREAMS = ("a", "b", "c")
TROUBLES = ("launch", "crash", "expire", "quiet", "rebalance", "bury")
SLOTS = ("left", "right")
STEPS = (
    "begin",
    "send",
    "offsets",
    "commit",
    "committed",
    "renew",
    "restore",
    "publish",
    "published",
)


@cache
def bundle() -> Bundle:
    return load_bundle(write_tiny(Path(mkdtemp(prefix="longtake-")) / "tiny", explodes=True))


@cache
def engine(kind: str, slot: str) -> Engine:
    """One engine per slot for the whole run, so a new worker finds the rows of a dead one."""
    made = MAKERS[kind](bundle())
    made.reserve(4)
    return made


MAKERS: dict[str, Callable[[Bundle], Engine]] = {
    "onnxruntime": lambda bundle: onnxruntime_engine(bundle, 1),
    "reference": reference_engine,
    "tensorrt": lambda bundle: gpu_engine(bundle, half=False),
}


@pytest.fixture
def closed_on_gpu(doubles: None) -> Iterator[None]:
    """Close the engines of a GPU, the newest first, because its context belongs to this thread."""
    del doubles
    yield
    for slot in (*reversed(SLOTS), "alone"):
        engine("tensorrt", slot).close()
    engine.cache_clear()


@dataclass(frozen=True)
class Publish:
    stream: int
    kind: str  # frame, repeat, poison, end, malformed, white (not finite)
    picture: int
    gap_s: float


@dataclass(frozen=True)
class Do:
    what: str
    slot: str
    detail: Any = None


publishing = st.builds(
    Publish,
    stream=st.integers(0, len(STREAMS) - 1),
    kind=st.sampled_from(["frame"] * 9 + ["repeat", "poison", "end", "malformed", "white"]),
    picture=st.integers(0, 255),
    gap_s=st.sampled_from([0.07, 0.07, 0.07, 0.02, 0.4, 3.0, -0.5]),
)
slots = st.sampled_from(SLOTS)
passages = st.integers(0, 6)
failures = st.sampled_from([CrashError, BrokerUnavailableError])
going = st.builds(
    Do,
    st.just("go"),
    slots,
    st.tuples(st.integers(1, 4), st.sets(st.sampled_from(KINDS), min_size=2)),
)
turning = st.one_of(
    st.builds(Do, st.just("turn"), slots),
    st.builds(Do, st.just("work"), slots, st.sampled_from(KINDS)),
)
trouble = st.one_of(
    st.builds(Do, st.just("restart"), slots),
    st.builds(Do, st.sampled_from(TROUBLES), slots),
    st.builds(Do, st.just("fault"), slots, st.tuples(st.sampled_from(STEPS), passages, failures)),
)
bursts = st.lists(publishing, min_size=1, max_size=12)
episodes = st.tuples(bursts, st.lists(st.one_of(going, turning), max_size=5), trouble)
schedules = st.lists(episodes, min_size=2, max_size=12)


class Cameras:
    """Publishes the schedule's records and keeps them, stream by stream."""

    def __init__(self, world: World, partitions: int) -> None:
        self._world = world
        self._partitions = partitions
        self._times_ms = dict.fromkeys(STREAMS, 1_700_000_000_000.0)
        self._seq: Counter[str] = Counter()

    def publish(self, action: Publish) -> None:
        name = STREAMS[action.stream]
        headers = []
        value: bytes | None = b"%s%d" % (name.encode(), action.picture)
        if action.kind == "end":
            value = None
        elif action.kind == "poison":
            value = POISON + bytes([action.picture])
        elif action.kind == "white":
            value = WHITE
        if action.kind == "malformed":
            headers.append(("seq", b"three"))
        else:
            if action.kind != "repeat":
                self._times_ms[name] += action.gap_s * 1000
                self._seq[name] += 1
            headers.append(("seq", str(self._seq[name]).encode()))
            headers.append(("captured-at", b"%.3f" % self._times_ms[name]))
        number = action.stream % self._partitions
        self._world.log.publish(number, name.encode(), value, tuple(headers))


def act(world: World, action: Do) -> None:
    process = world.processes.get(action.slot)
    if action.what == "go":
        rounds, kinds = action.detail
        for _ in range(rounds):
            world.turn(action.slot)
            for kind in sorted(kinds):
                world.work_off(action.slot, kind)
    elif action.what == "work":
        world.work(action.slot, action.detail)
    elif action.what == "expire" and process is not None:
        world.log.group.leave(process.member_id)
    elif action.what == "quiet" and process is not None:
        process.broker.made.quiet = True  # K12: loses its membership without an event
        world.log.group.leave(process.member_id)
    elif action.what == "restart":
        world.crash(action.slot)
        world.launch(action.slot)
    elif action.what == "rebalance":
        world.log.group.rebalance()
    elif action.what == "bury":
        world.bury()
    elif action.what == "fault" and process is not None:
        process.faults.arm(*action.detail)
    elif action.what in ("turn", "launch", "crash"):
        getattr(world, action.what)(action.slot)


def play(
    kind: str, schedule: list[Any], *, partitions: int, max_batch: int, **policy: Any
) -> World:
    world = World(
        bundle(),
        lambda slot: engine(kind, slot),
        partitions=partitions,
        max_batch=max_batch,
        **policy,
    )
    cameras = Cameras(world, partitions)
    world.launch("left")
    for burst, actions, misfortune in schedule:
        for publication in burst:
            cameras.publish(publication)
        for action in (*actions, misfortune):
            act(world, action)
    world.launch("left")
    world.settle()
    return world


def check(world: World, kind: str) -> None:
    """Compare predictions and snapshots with those of every stream run alone."""
    published, snapshots = world.predictions(), world.snapshots()
    fates: Counter[str] = Counter()
    records = world.log.read_committed(TOPICS.frames)
    for name in STREAMS:
        mine = [record for record in records if record.key == name.encode()]
        values, ended, state = alone(
            mine, bundle(), engine(kind, "alone"), world.config, world.skipped(name)
        )
        assert published.get(name, []) == values
        fates += ended
        assert (name in snapshots) == (name in state)  # only streams that have begun
        remembered = snapshots.get(name)
        for tensor, lines in (state.get(name) or {}).items():
            if remembered is not None and remembered.tensors:
                assert np.array_equal(remembered.tensors[tensor], lines[0])
    assert sum((Counter(m.fates) for m in world.manifests()), Counter()) == fates
    assert fates.total() == len(records)
    dead = world.log.read_committed(TOPICS.dead_letters)
    assert len(dead) == fates[Fate.DEAD_LETTERED]


def answers_as_if_alone(kind: str, whole: int, **policy: Any) -> Callable[[], None]:
    @settings(
        deadline=None,
        max_examples=examples(whole),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(schedules, st.integers(1, 3), st.sampled_from([1, 2, 7, 16]))
    def hold(schedule: list[Any], partitions: int, max_batch: int) -> None:
        world = play(kind, schedule, partitions=partitions, max_batch=max_batch, **policy)
        check(world, kind)

    return hold


def test_a_stream_answers_as_if_it_were_alone_bit_for_bit_on_onnxruntime() -> None:
    answers_as_if_alone("onnxruntime", whole=300)()


def test_a_stream_answers_as_if_it_were_alone_on_the_reference_engine() -> None:
    answers_as_if_alone("reference", whole=60)()


@pytest.mark.usefixtures("closed_on_gpu")
def test_a_stream_answers_as_if_it_were_alone_on_tensorrts_double() -> None:
    for slot in ("alone", *SLOTS):
        engine("tensorrt", slot)  # in a known order
    answers_as_if_alone("tensorrt", whole=60)()


def test_with_the_latest_frames_only_it_answers_as_if_the_skipped_were_never_seen() -> None:
    answers_as_if_alone("onnxruntime", whole=100, overload=Overload.LATEST)()


def test_with_low_latency_it_answers_as_if_alone_but_for_exact_repeats() -> None:
    answers_as_if_alone("onnxruntime", whole=100, delivery=Delivery.LOW_LATENCY)()


def test_with_low_latency_no_frame_is_skipped_after_what_followed_it_was_published() -> None:
    policy = {"delivery": Delivery.LOW_LATENCY, "overload": Overload.LATEST}
    answers_as_if_alone("onnxruntime", whole=120, **policy)()
