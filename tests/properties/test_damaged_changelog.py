"""Foreign state ends its readers with exit 21 and an error with partition, key and offset."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from pipeline.errors import CommitRefusedError, CorruptStateError
from pipeline.judging.audit import Audit
from pipeline.judging.moving import Move, move
from pipeline.records import Changelog, Destination, Outgoing, Record
from pipeline.wire.changelog import MANIFEST_KEY, SKIPS_PREFIX, snapshot_key
from pipeline.wire.history import History
from tests.properties.worlds import film, go
from tests.world import World

Damage = Callable[[Record], Record]


def meta(record: Record, **changes: Any) -> Record:
    content = json.loads(dict(record.headers)["meta"]) | changes
    return replace(record, headers=(("meta", json.dumps(content).encode()),))


def tensors(record: Record, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Record:
    known = safetensors.numpy.load(record.value or b"")
    return replace(record, value=safetensors.numpy.save(dict(change(known))))


def manifest(record: Record, **changes: Any) -> Record:
    return replace(record, value=json.dumps(json.loads(record.value or b"") | changes).encode())


SNAPSHOT: dict[str, Damage] = {
    "no tensors": lambda r: replace(r, value=b"xx"),
    "no tensor at all": lambda r: tensors(r, lambda known: {}),
    "a name less": lambda r: tensors(r, lambda known: dict(list(known.items())[1:])),
    "a shape": lambda r: tensors(r, lambda known: {n: t[..., :-1] + 0 for n, t in known.items()}),
    "a type": lambda r: tensors(r, lambda known: {n: t.astype("f8") for n, t in known.items()}),
    "not finite": lambda r: tensors(r, lambda known: {n: t * np.nan for n, t in known.items()}),
    "deep": lambda r: replace(r, headers=(("meta", b"[" * 100_000),)),
    "types": lambda r: meta(r, offset="x", frames="1", age_us=[]),
    "no meta": lambda r: replace(r, headers=()),
    "a newer schema": lambda r: meta(r, schema=2),
}
MANIFEST: dict[str, Damage] = {
    "types": lambda r: manifest(r, next_offset="5"),
    "negative": lambda r: manifest(r, next_offset=-5),
    "deep": lambda r: replace(r, value=b'{"a":' + b"[" * 100_000),
    "digits": lambda r: replace(r, value=b'{"schema":' + b"9" * 5_000 + b"}"),
    "a newer schema": lambda r: manifest(r, schema=2),
}


def damage(world: World, key: bytes, how: Damage) -> str:
    """Write a damaged record into the changelog. Returns how errors name its place."""
    damaged = how(changelog(world).records[key])
    out = Outgoing(Destination.STATE, 0, key, damaged.value, damaged.headers)
    world.log.write_through(out)
    offset = changelog(world).records[key].offset
    return f"partition 0 cannot be read: {key!r} at offset {offset}: "


def changelog(world: World) -> Changelog:
    found = world.log.changelog(0)
    assert found is not None
    return found


def assert_ends_with_21(act: Callable[[], object], where: str) -> None:
    with pytest.raises(CorruptStateError) as told:
        act()
    assert where in str(told.value)
    assert told.value.exit_code == 21


@pytest.mark.parametrize("kind", SNAPSHOT)
def test_a_worker_that_restores_a_foreign_snapshot_ends(world: World, kind: str) -> None:
    where = damage(world, snapshot_key("a"), SNAPSHOT[kind])
    world.crash("one")
    world.bury()
    world.launch("two")
    assert_ends_with_21(lambda: go(world, "two"), where)


@pytest.mark.parametrize("kind", MANIFEST)
def test_a_worker_that_restores_a_foreign_manifest_ends(world: World, kind: str) -> None:
    where = damage(world, MANIFEST_KEY, MANIFEST[kind])
    world.crash("one")
    world.bury()
    world.launch("two")
    assert_ends_with_21(lambda: go(world, "two"), where)


@pytest.mark.parametrize("kind", MANIFEST)
def test_a_worker_that_looks_up_what_became_of_its_commit_ends(world: World, kind: str) -> None:
    world.processes["one"].faults.arm("commit", 0, CommitRefusedError)
    where = damage(world, MANIFEST_KEY, MANIFEST[kind])
    film(world, 2, first=6)

    go(world, "one")
    world.launch("two")  # a new generation, for which a refused commit waits
    assert_ends_with_21(lambda: go(world, "one"), where)


@pytest.mark.parametrize("kind", MANIFEST)
def test_an_audit_a_replay_and_a_move_of_a_foreign_manifest_end(world: World, kind: str) -> None:
    where = damage(world, MANIFEST_KEY, MANIFEST[kind])
    found = changelog(world)
    nothing: Mapping[int, int] = {}
    readers: list[Callable[[], object]] = [
        lambda: History.read(0, found),
        lambda: move(found, Move(0, 0, 0, {}), now_s=0.0),
        lambda: Audit(
            {0: found},
            group="g",
            frames_topic="frames",
            predictions_start=nothing,
            dead_letters_start=nothing,
            repeats_allowed=False,
            names={},
        ),
    ]
    for reader in readers:
        assert_ends_with_21(reader, where)


@pytest.mark.parametrize("value", [b"[" * 100_000, b'{"schema":1,"ranges":[[1]]}', b"\xff", b""])
def test_a_worker_that_finds_foreign_skips_ends(world: World, value: bytes) -> None:
    key = SKIPS_PREFIX + b"a:1"
    world.log.write_through(Outgoing(Destination.STATE, 0, key, value))
    world.crash("one")
    world.bury()
    world.launch("two")
    assert_ends_with_21(lambda: go(world, "two"), f"{key!r} at offset ")
