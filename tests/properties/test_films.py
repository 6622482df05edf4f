"""Streams of H.264 answer as if alone, and a replay agrees: whatever is lost, damaged or killed."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.base import Engine
from engines.model.bundle import Bundle, load_bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.config import Delivery, Overload
from pipeline.records import Fate
from tests.engines.bundles import write_tiny
from tests.properties.films import FilmCameras, bursts
from tests.properties.test_alone import STREAMS, act, going, trouble, turning
from tests.thorough import examples
from tests.world import TOPICS, World, alone

episodes = st.tuples(bursts, st.lists(st.one_of(going, turning), max_size=5), trouble)
schedules = st.lists(episodes, min_size=2, max_size=12)


@cache
def bundle() -> Bundle:
    return load_bundle(write_tiny(Path(mkdtemp(prefix="longtake-")) / "tiny", rate_hz=15.0))


@cache
def engine(slot: str) -> Engine:
    made = onnxruntime_engine(bundle(), 1)
    made.reserve(4)
    return made


def play(schedule: list[Any], *, partitions: int, max_batch: int, **policy: Any) -> World:
    world = World(bundle(), engine, partitions=partitions, max_batch=max_batch, **policy)
    cameras = FilmCameras(world, partitions)
    world.launch("left")
    for burst, actions, misfortune in schedule:
        for shoot in burst:
            cameras.publish(shoot)
        for action in (*actions, misfortune):
            act(world, action)
    world.launch("left")
    world.settle()
    return world


def check(world: World) -> None:
    """Compare predictions and fates with those of every stream run alone."""
    published = world.predictions()
    fates: Counter[str] = Counter()
    records = world.log.read_committed(TOPICS.frames)
    for name in STREAMS:
        mine = [record for record in records if record.key == name.encode()]
        values, ended, _ = alone(mine, bundle(), engine("alone"), world.config, world.skipped(name))
        assert published.get(name, []) == values
        fates += ended
    assert sum((Counter(m.fates) for m in world.manifests()), Counter()) == fates
    assert fates.total() == len(records)
    dead = world.log.read_committed(TOPICS.dead_letters)
    assert len(dead) == fates[Fate.DEAD_LETTERED]


def answers_as_if_alone(whole: int, **policy: Any) -> Callable[[], None]:
    @settings(
        max_examples=examples(whole),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(schedules, st.integers(1, 3), st.sampled_from([1, 2, 7, 16]), st.sampled_from([1, 2, 9]))
    def hold(schedule: list[Any], partitions: int, max_batch: int, max_decoders: int) -> None:
        world = play(
            schedule,
            partitions=partitions,
            max_batch=max_batch,
            max_decoders=max_decoders,
            **policy,
        )
        check(world)

    return hold


def test_a_stream_of_units_answers_as_if_it_were_alone() -> None:
    answers_as_if_alone(whole=50)()


def test_with_the_latest_frames_only_units_that_are_left_out_make_no_difference() -> None:
    answers_as_if_alone(whole=40, overload=Overload.LATEST)()


def test_with_low_latency_units_are_repeated_exactly() -> None:
    answers_as_if_alone(whole=20, delivery=Delivery.LOW_LATENCY)()


def test_with_low_latency_no_unit_is_left_out_that_a_published_one_needs() -> None:
    policy = {"delivery": Delivery.LOW_LATENCY, "overload": Overload.LATEST}
    answers_as_if_alone(whole=20, **policy)()


@pytest.mark.slow
@pytest.mark.parametrize("delivery", Delivery)
@pytest.mark.parametrize("overload", Overload)
def test_many_schedules_of_units_answer_as_if_alone(delivery: Delivery, overload: Overload) -> None:
    answers_as_if_alone(whole=300, delivery=delivery, overload=overload)()
