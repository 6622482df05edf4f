"""A stream of pictures that cost a thousand times as much as others delays itself, not the others.

Nothing here is timed: the test runs each decode, and counts.
"""

import pytest

from engines.model.bundle import Bundle
from pipeline.media.kinds import decoder_for
from pipeline.records import Fate
from tests.damaged.seeds import flat_webp
from tests.pipeline.adder import Adder
from tests.world import TOPICS, World

# 8 KB behind the picture are not read, but allow its size. These decoders make 16 x 16 pixels.
BOMB = flat_webp(4096, 2176) + bytes(8192)
HUGE = flat_webp(8192, 4096)
BOMBS = 30
SLOT = "w"


def costly_world(bundle: Bundle, *, partitions: int, **settings: object) -> World:
    """A world with one worker that reads all partitions."""
    world = World(
        bundle,
        lambda _: Adder(),
        partitions=partitions,
        max_batch=16,
        checkpoint_s=0.01,
        **settings,
    )
    world.launch(SLOT)
    world.settle()
    return world


@pytest.fixture
def apart(bundle: Bundle) -> World:
    """The bomber is in partition 0, the good stream in partition 1."""
    return costly_world(bundle, partitions=2)


@pytest.fixture
def together(bundle: Bundle) -> World:
    """Both are in partition 0."""
    return costly_world(bundle, partitions=1)


def bomb(world: World, count: int = BOMBS) -> None:
    for _ in range(count):
        world.log.publish(0, b"bomber", BOMB)


def film(world: World, count: int, *, partition: int) -> None:
    for n in range(count):
        world.log.publish(partition, b"good", b"%d" % n)


def go(world: World, decodes: int) -> None:
    """Run turns, and so many decodes one after the other."""
    for _ in range(decodes):
        world.turn(SLOT)
        world.work(SLOT, "decodes")
    for _ in range(4):
        world.turn(SLOT)
        world.work_off(SLOT, "writes")


def predicted(world: World, stream: str) -> int:
    return len(world.predictions().get(stream, []))


def test_a_good_stream_is_predicted_while_the_bombs_of_another_partition_wait(
    apart: World,
) -> None:
    bomb(apart)
    go(apart, 1)  # a bomb is decoded before anything else is there
    film(apart, 20, partition=1)
    go(apart, 20)
    assert (predicted(apart, "good"), predicted(apart, "bomber")) == (20, 1)
    apart.settle()
    assert predicted(apart, "bomber") == BOMBS


def test_a_backlog_of_bombs_stops_the_reading_of_its_own_partition_alone(apart: World) -> None:
    bomb(apart)  # 800 MB unpacked
    go(apart, 0)
    for _ in range(5):
        film(apart, 20, partition=1)
        go(apart, 20)
    assert (predicted(apart, "good"), predicted(apart, "bomber")) == (100, 0)
    apart.log.publish(0, b"bomber", BOMB)
    apart.turn(SLOT)
    waiting = apart.processes[SLOT].decodes.waiting
    assert len(waiting) == BOMBS  # the last one is not read


def test_in_its_own_partition_a_frame_waits_for_the_bombs_before_it_and_for_none_behind_it(
    together: World,
) -> None:
    bomb(together, 2)
    film(together, 5, partition=0)
    bomb(together)
    go(together, 5 + 2)
    assert (predicted(together, "good"), predicted(together, "bomber")) == (5, 2)


def test_where_only_the_newest_frames_count_a_bomber_delays_its_partition_by_one_bomb(
    bundle: Bundle,
) -> None:
    world = costly_world(bundle, partitions=1, overload="latest")
    for number in range(10):
        bomb(world, 3)
        film(world, 1, partition=0)
        go(world, 2)
        assert predicted(world, "good") >= number


def test_the_decodes_of_a_partition_that_is_lost_are_cancelled(apart: World) -> None:
    bomb(apart)
    apart.turn(SLOT)
    process = apart.processes[SLOT]
    apart.log.group.leave(process.member_id)
    apart.turn(SLOT)
    apart.work_off(SLOT, "decodes")
    assert process.metrics.registry.get_sample_value("longtake_decode_seconds_count") == 0


def test_a_picture_above_the_limit_is_dead_lettered_with_the_name_of_the_setting(
    bundle: Bundle,
) -> None:
    world = World(bundle, lambda _: Adder(), partitions=1, max_batch=16)
    world.decoder = decoder_for(bundle.input, max_frame_pixels=world.config.max_frame_pixels)
    world.launch(SLOT)
    world.settle()
    world.log.publish(0, b"bomber", HUGE)
    world.settle()
    (letter,) = world.log.read_committed(TOPICS.dead_letters)
    headers = dict(letter.headers)
    assert headers["reason"] == b"undecodable"
    assert b"8192 x 4096 pixels; at most 8912896 are decoded (max_frame_pixels)" in headers["error"]
    assert world.manifests()[0].fates[Fate.DEAD_LETTERED] == 1
