"""A replay of H.264 streams gives what was published, whatever was left out by a busy worker."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config import Overload, WorkerConfig
from pipeline.judging.compare import Comparison
from pipeline.media.headers.picture_headers import FRAME_PIXELS
from pipeline.media.kinds import open_fitting_for
from pipeline.offline.replay import Replay
from pipeline.streams.served import ServedModel
from pipeline.wire.history import History, stretch
from tests.properties.test_films import bundle, engine, play, schedules
from tests.properties.test_replay import by_partition, histories, in_turns
from tests.thorough import examples
from tests.world import TOPICS, World, decode

POOL = ThreadPoolExecutor(3, "decode")


def make(
    world: World, past: dict[int, History], starts: dict[int, int], *, max_batch: int
) -> Replay:
    config = WorkerConfig(**world.config.model_dump() | {"max_batch": max_batch})
    fitting = open_fitting_for(bundle().input, max_frame_pixels=FRAME_PIXELS)
    model = ServedModel.configured(
        config, bundle(), engine("replay"), decoder=decode, open_fitting=fitting
    )
    skips = {number: history.skips for number, history in past.items()}
    return Replay(config, model=model, decodes=POOL, starts=starts, skips=skips)


@settings(
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    schedules,
    st.integers(1, 3),
    st.sampled_from([1, 7, 16]),
    st.sampled_from([1, 3, 16]),
    st.sampled_from([0.1, 0.3, 1.0, 60.0]),
    st.sampled_from([0.2, 1.0, 1e6]),
    st.sampled_from(Overload),
    st.sampled_from([1, 2, 10_000]),
)
def test_a_replay_of_units_gives_what_was_published_byte_for_byte(
    schedule: list[Any],
    partitions: int,
    max_batch: int,
    other_batch: int,
    keyframe_s: float,
    ttl_s: float,
    overload: Overload,
    max_streams: int,
) -> None:
    """Keyframes become too old, streams expire or find no room: by the log alone."""
    policy = {"keyframe_s": keyframe_s, "stream_ttl_s": ttl_s, "max_streams": max_streams}
    world = play(schedule, partitions=partitions, max_batch=max_batch, overload=overload, **policy)
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


@settings(
    max_examples=examples(15),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(schedules, st.integers(0, 60))
def test_a_replay_of_units_from_the_middle_finds_no_difference_after_a_common_reset(
    schedule: list[Any], first: int
) -> None:
    world = play(schedule, partitions=1, max_batch=4)
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
