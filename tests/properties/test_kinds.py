"""Another kind of input works in the whole log half, which has no code for it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.errors import UndecodableFrameError
from tests.engines.bundles import letters
from tests.world import TOPICS, World, alone

WORDS = [b"stand", b"walk", b"far too long a word", b"run", b"", b"walk", b"stand", b"run"]
START_MS = 1_700_000_000_000


def spell(content: bytes) -> NDArray[np.uint8]:
    """The decoder of `letters`: at most 12 bytes, which are not zero."""
    if not 0 < len(content) <= 12:
        raise UndecodableFrameError(f"{len(content)} bytes are no word of 1 to 12 letters")
    return np.frombuffer(content.ljust(12, b"\0"), np.uint8)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return letters(tmp_path)


@pytest.fixture
def world(bundle: Bundle) -> World:
    engine = onnxruntime_engine(bundle, 1)
    world = World(bundle, lambda slot: engine, partitions=1, max_batch=3)
    world.decoder = world.sandboxed = spell
    for n, word in enumerate(WORDS):
        world.log.publish(0, b"chat", word, (("captured-at", b"%d" % (START_MS + 100 * n)),))
    return world


def test_a_stream_of_words_survives_a_crash_as_if_nothing_had_happened(
    world: World, bundle: Bundle
) -> None:
    world.launch("left")
    for _ in range(6):
        world.turn("left")
        world.work_off("left", "decodes")
    world.crash("left")
    world.launch("right")
    world.settle()
    records = world.log.read_committed(TOPICS.frames)
    engine = onnxruntime_engine(bundle, 1)
    values, fates, _ = alone(records, bundle, engine, world.config, decoder=spell)
    assert world.predictions()["chat"] == values
    assert fates == {"predicted": 6, "dead_lettered": 2}


def test_a_word_that_does_not_decode_is_dead_lettered_with_its_reason(world: World) -> None:
    world.launch("left")
    world.settle()
    headers = [dict(record.headers) for record in world.log.read_committed(TOPICS.dead_letters)]
    assert [h["reason"] for h in headers] == [b"undecodable", b"undecodable"]
    assert b"stream chat offset 2: 19 bytes are no word of 1 to 12 letters" in headers[0]["error"]
