"""A replay of the log gives the published predictions, after any faults of workers: promise 2."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.config import Overload, WorkerConfig
from pipeline.judging.compare import Comparison
from pipeline.offline.replay import Replay
from pipeline.records import Record
from pipeline.streams.served import ServedModel
from pipeline.wire.history import History, stretch
from pipeline.wire.snapshots import Snapshot
from tests.properties.test_alone import Do, Publish, bundle, engine, play, schedules
from tests.thorough import examples
from tests.world import TOPICS, World, decode

POOL = ThreadPoolExecutor(2, "decode")
KIND = "onnxruntime"


def histories(world: World) -> dict[int, History]:
    found = {}
    for number in range(world.log.partition_count(TOPICS.frames)):
        changelog = world.log.changelog(number)
        history = None if changelog is None else History.read(number, changelog)
        assert history is not None
        found[number] = history
    return found


def make(
    world: World, past: dict[int, History], starts: dict[int, int], *, max_batch: int
) -> Replay:
    config = WorkerConfig(**world.config.model_dump() | {"max_batch": max_batch})
    return Replay(
        config,
        model=ServedModel.configured(config, bundle(), engine(KIND, "replay"), decoder=decode),
        decodes=POOL,
        starts=starts,
        skips={number: history.skips for number, history in past.items()},
    )


def by_partition(pairs: Sequence[tuple[int, bytes]]) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for number, value in pairs:
        found.setdefault(number, []).append(value)
    return found


def in_turns(records: Sequence[Record]) -> list[Record]:
    """Interleave the partitions, as a reader of all of them gets them."""
    return sorted(records, key=lambda record: (record.offset, record.partition))


@settings(
    deadline=None,
    max_examples=examples(80),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    schedules,
    st.integers(1, 3),
    st.sampled_from([1, 7, 16]),
    st.sampled_from([1, 3, 16]),
    st.sampled_from([0.05, 0.3, 1.0, 1e6]),
    st.sampled_from(Overload),
    st.sampled_from([1, 2, 3, 10_000]),
)
def test_a_replay_of_the_log_gives_what_was_published_byte_for_byte(
    schedule: list[Any],
    partitions: int,
    max_batch: int,
    other_batch: int,
    ttl_s: float,
    overload: Overload,
    max_streams: int,
) -> None:
    """Worker and replay sweep at other times and form other batches, without a difference."""
    policy = {"stream_ttl_s": ttl_s, "overload": overload, "max_streams": max_streams}
    world = play(KIND, schedule, partitions=partitions, max_batch=max_batch, **policy)
    past = histories(world)
    starts = {number: history.manifest.first_offset for number, history in past.items()}
    replay = make(world, past, starts, max_batch=other_batch)
    frames = world.log.read_committed(TOPICS.frames)
    replayed = by_partition([(p.partition, p.value) for p in replay.run(in_turns(frames))])
    published = world.log.read_committed(TOPICS.predictions)
    assert replayed == by_partition([(r.partition, r.value or b"") for r in published])
    for number, history in past.items():
        partition = replay.partitions[number]
        assert Counter(partition.fates) == Counter(dict(history.manifest.fates))
        assert partition.next_offset == history.manifest.next_offset
        assert alive(world, number, history.manifest.stream_time_ms) <= max_streams


def alive(world: World, number: int, now_ms: int) -> int:
    """Count the streams in a changelog that are within their time to live."""
    changelog = world.log.changelog(number)
    assert changelog is not None
    shots = [Snapshot.read(r) for key, r in changelog.records.items() if key.startswith(b"s:")]
    ttl_ms = world.config.stream_ttl_s * 1000
    return sum(now_ms - shot.admission.record_ms <= ttl_ms for shot in shots)


OWED = [  # a stream expires; the first of its new life does not decode; then the clock goes back
    (
        [Publish(0, "frame", 0, 0.07)],
        [
            Do("go", "left", (1, {"reads", "decodes"})),
            Do("turn", "left"),
            Do("go", "left", (4, {"reads", "decodes"})),
        ],
        Do("restart", "left"),
    ),
    (
        [
            Publish(0, "poison", 0, 0.07),
            *[Publish(0, "repeat", 0, 0.07)] * 2,
            Publish(0, "frame", 0, -0.5),
        ],
        [],
        Do("restart", "left"),
    ),
]


@settings(
    deadline=None,
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@example(OWED, 4, 0.3)
@given(schedules, st.integers(0, 40), st.sampled_from([0.3, 1e6]))
def test_a_replay_from_the_middle_finds_no_difference_after_a_common_reset(
    schedule: list[Any], first: int, ttl_s: float
) -> None:
    world = play(KIND, schedule, partitions=1, max_batch=4, stream_ttl_s=ttl_s)
    past = histories(world)
    chosen = stretch(past[0], first=first, last=None)
    frames = world.log.read_committed(TOPICS.frames)
    comparison = Comparison(same_bundle=True, repeats=False)
    passed = comparison.follow(
        make(world, past, {0: chosen.start}, max_batch=4).run(frames),
        world.log.read_committed(TOPICS.predictions),
        start=chosen.start,
        end=chosen.end,
        exact=chosen.exact,
        whole=True,
    )
    for _ in passed:
        pass
    assert (comparison.agrees, comparison.differences) == (True, [])
    assert chosen.exact == (first == 0)
