"""Events come out as if nothing had happened: starts and ends alternate, and a replay agrees."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config import Delivery, Overload
from pipeline.offline.replay import Replay
from pipeline.records import Record
from pipeline.wire.events.event import Event
from pipeline.wire.predictions import NEW_CHAIN
from tests.properties.test_alone import bundle, engine, play, schedules
from tests.properties.test_replay import KIND, histories, in_turns, make
from tests.properties.worlds import film, go
from tests.thorough import examples
from tests.world import TOPICS, CrashError, World

ANY = {"on": 0.345, "off": 0.345, "min_s": 0.05}  # the tiny bundle is never sure
NO_STANDING = ANY | {"labels": {"stand": {"on": 1.0}}}  # so that others grow weak


def by_stream(values: list[bytes]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for value in values:
        found.setdefault(Event.read(value).stream, []).append(value)
    return found


def published(world: World) -> dict[str, list[bytes]]:
    records = world.log.read_committed(world.config.events_topic)
    assert all(record.key == Event.read(record.value).stream.encode() for record in records)
    return by_stream([record.value or b"" for record in records])


def replayed(world: World, records: list[Record]) -> dict[str, list[bytes]]:
    past = histories(world)
    starts = {number: history.manifest.first_offset for number, history in past.items()}
    replay: Replay = make(world, past, starts, max_batch=16)
    for _ in replay.run(in_turns(records)):
        pass
    return by_stream([value for values in replay.events.values() for value in values])


def require_alternation(values: list[bytes]) -> None:
    """Each start is followed by its own end; the links show that none is missing."""
    opened, chain = None, NEW_CHAIN
    for event in map(Event.read, values):
        assert event.intact
        assert event.prev == chain or (event.starts and event.prev == NEW_CHAIN)
        chain = event.chain
        assert event.starts == (opened is None)
        assert event.starts or event.id == opened
        opened = event.id if event.starts else None


def last_may_wait(values: list[bytes]) -> list[bytes]:
    """Without an eviction at the very end: no later record says by when it has to have come."""
    evicted = bool(values) and Event.read(values[-1]).why == "evicted"
    return values[:-1] if evicted else values


@pytest.mark.parametrize("step", ["begin", "send", "offsets", "commit", "committed"])
@pytest.mark.parametrize("passages", [1, 2, 3])
def test_a_crash_at_any_step_leaves_no_start_without_its_end(step: str, passages: int) -> None:
    world = World(
        bundle(),
        lambda slot: engine(KIND, slot),
        partitions=1,
        max_batch=1,
        events={"on": 0.34, "off": 0.3, "min_s": 0.2},
    )
    for slot, first in (("left", 0), ("right", 8), ("left", 16)):
        film(world, 4, first=first)
        world.launch(slot)
        go(world, slot, 6)
        film(world, 4, first=first + 4)
        world.processes[slot].faults.arm(step, passages, CrashError)
        go(world, slot, 6)
        world.crash(slot)
        world.bury()
    remembered = world.snapshots()["a"].events
    assert remembered is not None
    assert remembered.open or remembered.candidate
    world.log.publish(0, b"a", None)
    world.launch("last")
    world.settle()
    found = published(world)
    require_alternation(found["a"])
    assert Event.read(found["a"][-1]).why == "ended"
    assert found == replayed(world, world.log.read_committed(TOPICS.frames))


@settings(
    deadline=None,
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    schedules,
    st.integers(1, 3),
    st.sampled_from([1, 7, 16]),
    st.sampled_from([0.3, 1e6]),
    st.sampled_from(Overload),
    st.sampled_from(Delivery),
    st.sampled_from([ANY, NO_STANDING]),
)
def test_events_are_those_of_a_replay_after_any_faults(
    schedule: list[Any],
    partitions: int,
    max_batch: int,
    ttl_s: float,
    overload: Overload,
    delivery: Delivery,
    limits: dict[str, Any],
) -> None:
    policy = {
        "stream_ttl_s": ttl_s,
        "overload": overload,
        "delivery": delivery,
        "events": limits,
    }
    world = play(KIND, schedule, partitions=partitions, max_batch=max_batch, **policy)
    found = published(world)
    wanted = replayed(world, world.log.read_committed(TOPICS.frames))
    for values in found.values():
        require_alternation(values)
    assert {name: last_may_wait(values) for name, values in found.items()} == {
        name: last_may_wait(values) for name, values in wanted.items()
    }


def test_the_schedules_make_events_of_every_kind() -> None:
    """Else the property above would prove nothing."""
    causes = set[str]()

    @settings(deadline=None, max_examples=60, derandomize=True)
    @given(schedules, st.sampled_from([ANY, NO_STANDING]))
    def play_one(schedule: list[Any], limits: dict[str, Any]) -> None:
        world = play(KIND, schedule, partitions=1, max_batch=4, events=limits)
        causes.update(Event.read(one).why for values in published(world).values() for one in values)

    play_one()
    assert {"held", "weak", "replaced", "reset", "ended"} <= causes
