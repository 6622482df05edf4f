"""Streams of text and bases keep their memory through crashes, pauses and bad records."""

from pathlib import Path
from typing import Any

import pytest

from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.media.headers.picture_headers import FRAME_PIXELS
from pipeline.media.kinds import decoder_for
from pipeline.wire.predictions import Prediction
from tests.engines.bundles import lettered
from tests.world import TOPICS, World, alone

RECORDS = {
    "text": ["Grüß".encode(), b"Gott", b"\xff\xfe", b"far too long a word", b"", b"wos", b"isch"],
    "bases": [b"ACGTACGTACGT", b"acguNRY", b"AC-T", b"A" * 13, b">x", b"TTT", b"GGG"],
}


def world_of(bundle: Bundle) -> World:
    engine = onnxruntime_engine(bundle, 1)
    world = World(bundle, lambda slot: engine, partitions=1, max_batch=3)
    world.decoder = world.sandboxed = decoder_for(bundle.input, max_frame_pixels=FRAME_PIXELS)
    return world


def number(seq: int) -> tuple[tuple[str, bytes], ...]:
    return (("seq", str(seq).encode()), ("epoch", b"1"))


def read(world: World, stream: str) -> list[Prediction]:
    return [Prediction.read(value) for value in world.predictions()[stream]]


@pytest.mark.parametrize("kind", ["text", "bases"])
def test_letters_survive_a_crash_as_if_nothing_had_happened(tmp_path: Path, kind: Any) -> None:
    bundle = lettered(tmp_path, kind)
    world = world_of(bundle)
    for seq, content in enumerate(RECORDS[kind]):
        for stream in (b"left", b"right"):
            world.log.publish(0, stream, content, number(seq))
    world.launch("one")
    for _ in range(6):
        world.turn("one")
        world.work_off("one", "decodes")
    world.crash("one")
    world.launch("two")
    world.settle()
    records = world.log.read_committed(TOPICS.frames)
    values, fates, _ = alone(
        [one for one in records if one.key == b"left"],
        bundle,
        onnxruntime_engine(bundle, 1),
        world.config,
        decoder=world.decoder,
    )
    assert world.predictions()["left"] == values
    assert fates == {"predicted": 4, "dead_lettered": 3}


@pytest.mark.parametrize(
    ("gap_reset_s", "resets"), [(None, ["new", None, None]), (60.0, ["new", None, "gap"])]
)
def test_the_bundle_alone_says_whether_a_pause_ends_a_memory(
    tmp_path: Path, gap_reset_s: float | None, resets: list[str | None]
) -> None:
    world = world_of(lettered(tmp_path, gap_reset_s=gap_reset_s))
    for pause_s in (0, 50, 70):
        world.clock.advance(pause_s)
        world.log.publish(0, b"chat", b"word")
    world.launch("one")
    world.settle()
    assert [one.reset for one in read(world, "chat")] == resets


def test_records_of_one_moment_are_no_broken_clock_and_a_hole_is_noted(tmp_path: Path) -> None:
    world = world_of(lettered(tmp_path))
    for seq in (0, 1, 4, 4, 5):
        world.log.publish(0, b"chat", b"word", number(seq))
    world.launch("one")
    world.settle()
    found = read(world, "chat")
    assert [one.note for one in found] == [None, None, "hole", None]
    assert [one.frames for one in found] == [0, 1, 2, 3]
    assert {one.gap_s for one in found} == {None}
