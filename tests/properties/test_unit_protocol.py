"""H.264 and the state protocol: what a restored worker reads again, and what becomes of it."""

import json
from collections.abc import Callable, Iterable

import pytest

from engines.host import HostEngine
from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.config import Overload
from pipeline.media.headers.picture_headers import FRAME_PIXELS
from pipeline.media.kinds import open_fitting_for
from pipeline.media.video.lanes.fitting import FitOutcome, FittingDecoder, LostDecoderError
from pipeline.records import Fate, Keyframe
from pipeline.wire.frames import frame_headers
from tests.pipeline.media.video.encoding import encoded
from tests.world import TOPICS, CrashError, World, alone

START_US = 1_700_000_000_000_000
FILM = encoded("cabac")  # a keyframe at 0, 10, 20, 30


def make_world(bundle: Bundle, **settings: object) -> World:
    engines: dict[str, HostEngine] = {}

    def engine(slot: str) -> HostEngine:
        return engines.setdefault(slot, onnxruntime_engine(bundle, 1))

    return World(bundle, engine, partitions=1, max_batch=4, **settings)


@pytest.fixture
def world(bundle: Bundle) -> World:
    return make_world(bundle)


def film(world: World, first: int, last: int, *, stream: str = "a") -> None:
    """Publish units of the film; `last` is not one of them."""
    for n in range(first, last):
        headers = frame_headers(
            captured_us=START_US + n * 100_000, seq=n, epoch=1, content_type="video/h264"
        )
        world.log.publish(0, stream.encode(), FILM[n], headers)


def go(world: World, slot: str, rounds: int = 12) -> None:
    for _ in range(rounds):
        world.turn(slot)
        for kind in ("decodes", "reads", "writes"):
            world.work_off(slot, kind)


def fates(world: World) -> dict[str, int]:
    (manifest,) = world.manifests()
    return {str(fate): n for fate, n in manifest.fates.items() if n}


def seqs(world: World, stream: str = "a") -> list[int]:
    return [json.loads(value)["seq"] for value in world.predictions().get(stream, [])]


def assert_as_if_alone(world: World, bundle: Bundle, stream: str = "a") -> None:
    world.settle()
    records = [r for r in world.log.read_committed(TOPICS.frames) if r.key == stream.encode()]
    values, _, _ = alone(records, bundle, onnxruntime_engine(bundle, 1), world.config)
    assert world.predictions().get(stream, []) == values


def restarted(world: World, **settings: object) -> None:
    """Let the worker die, and another one take its place, with other settings."""
    world.config = world.config.model_copy(update=settings)
    world.crash("left")
    world.bury()
    world.launch("left")


class Watched:
    """Opens decoders, and keeps what they are fed."""

    def __init__(self, world: World) -> None:
        self.fed: list[bytes] = []
        self._open = open_fitting_for(world.bundle.input, max_frame_pixels=FRAME_PIXELS)
        world.open_fitting = self

    def __call__(self) -> FittingDecoder:
        assert self._open is not None
        decoder, fed = self._open(), self.fed

        class Watching:
            lost = False

            def feed(self, content: bytes, *, seq: int | None, wanted: bool) -> FitOutcome:
                fed.append(content)
                return decoder.feed(content, seq=seq, wanted=wanted)

            def close(self) -> None:
                decoder.close()

        return Watching()

    @property
    def units(self) -> list[int]:
        """The numbers of the units that were decoded."""
        return [FILM.index(content) for content in self.fed]


def test_a_restored_worker_decodes_again_from_the_keyframe_and_predicts_nothing_twice(
    world: World, bundle: Bundle
) -> None:
    film(world, 0, 15)
    world.launch("left")
    world.settle()
    assert world.snapshots()["a"].keyframe == Keyframe(10, world.manifests()[0].stream_time_ms)
    watched = Watched(world)
    restarted(world)
    film(world, 15, 17)
    assert_as_if_alone(world, bundle)
    assert watched.units == [10, 11, 12, 13, 14, 15, 16]
    assert fates(world) == {"predicted": 17}
    assert seqs(world) == list(range(17))


def test_reading_begins_at_the_oldest_keyframe_of_the_partitions_streams(
    world: World, bundle: Bundle
) -> None:
    film(world, 0, 12)
    film(world, 0, 3, stream="b")
    world.launch("left")
    world.settle()
    watched = Watched(world)
    restarted(world)
    film(world, 12, 14)
    film(world, 3, 5, stream="b")
    assert_as_if_alone(world, bundle)
    assert_as_if_alone(world, bundle, "b")
    assert sorted(watched.units) == sorted([10, 11, 0, 1, 2, 12, 13, 3, 4])


def test_a_unit_is_primed_once_though_its_partition_is_sought_again(
    world: World, bundle: Bundle
) -> None:
    film(world, 0, 15)
    world.launch("left")
    world.settle()
    watched = Watched(world)
    restarted(world)
    go(world, "left", 4)
    world.processes["left"].broker.made.start(0, 10)  # as the detector of stalls may do
    film(world, 15, 17)
    assert_as_if_alone(world, bundle)
    assert watched.units == [10, 11, 12, 13, 14, 15, 16]


def test_nothing_is_read_again_for_a_stream_whose_chain_is_broken(
    world: World, bundle: Bundle
) -> None:
    film(world, 0, 3)
    film(world, 4, 6)
    world.launch("left")
    world.settle()
    assert world.snapshots()["a"].keyframe is None
    watched = Watched(world)
    restarted(world)
    film(world, 6, 11)
    assert_as_if_alone(world, bundle)
    assert watched.units[-1] == 10
    assert fates(world) == {"predicted": 4, "dead_lettered": 1, "unkeyed": 5}


def test_units_whose_keyframe_retention_has_deleted_are_unkeyed(world: World) -> None:
    film(world, 0, 15)
    world.launch("left")
    world.settle()
    world.log.expire(0, 12)
    restarted(world)
    film(world, 15, 22)
    world.settle()
    assert fates(world) == {"predicted": 17, "unkeyed": 5}
    assert seqs(world) == [*range(15), 20, 21]


def test_a_keyframe_that_is_too_old_for_any_unit_to_come_is_not_read_again(
    bundle: Bundle,
) -> None:
    world = make_world(bundle, keyframe_s=5.0)
    film(world, 0, 5)
    world.launch("left")
    world.settle()
    world.clock.advance(6.0)
    world.log.publish(0, b"b", b"picture", ())
    world.settle()
    watched = Watched(world)
    restarted(world)
    film(world, 5, 7)
    world.settle()
    assert watched.fed == []  # a unit without a chain needs no decoder
    assert fates(world) == {"predicted": 6, "unkeyed": 2}


def test_a_worker_that_dies_while_it_decodes_again_loses_nothing(
    world: World, bundle: Bundle
) -> None:
    film(world, 0, 15)
    world.launch("left")
    world.settle()
    for decodes in range(4):
        restarted(world)
        film(world, 15 + decodes, 16 + decodes)
        for _ in range(4):
            world.turn("left")
            world.work_off("left", "reads")
            world.work_off("left", "writes")
        for _ in range(decodes):
            world.work("left", "decodes")
    assert_as_if_alone(world, bundle)
    assert seqs(world) == list(range(19))


def test_reading_pauses_while_units_that_are_read_again_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(world, 0, 10)
    world.launch("left")
    world.settle()
    restarted(world, max_pending_bytes=len(FILM[0]))
    paused: list[int] = []
    consumer = world.processes["left"].broker.made
    pause: Callable[..., None] = consumer.pause

    def noted(numbers: Iterable[int]) -> None:
        paused.extend(numbers)
        pause(numbers)

    monkeypatch.setattr(consumer, "pause", noted)
    film(world, 10, 11)
    world.settle()
    assert paused == [0]
    assert seqs(world) == list(range(11))


def test_a_busy_worker_leaves_out_units_before_a_keyframe(bundle: Bundle) -> None:
    world = make_world(bundle, overload="latest")
    watched = Watched(world)
    film(world, 0, 2)
    world.launch("left")
    world.settle()
    film(world, 2, 23)
    world.settle()
    assert watched.units == [0, 1, 20, 21, 22]
    assert fates(world) == {"predicted": 3, "skipped": 20}
    assert world.snapshots()["a"].keyframe is not None


def test_a_worker_that_dies_after_it_left_units_out_decodes_them_after_all(
    bundle: Bundle,
) -> None:
    world = make_world(bundle)
    film(world, 0, 2)
    film(world, 3, 4)  # the chain is broken
    world.launch("left")
    world.settle()
    restarted(world, overload=Overload.LATEST)
    go(world, "left", 3)
    film(world, 10, 12)
    film(world, 0, 1, stream="b")  # holds back what is behind it: it is not decoded
    film(world, 12, 13)
    film(world, 20, 21)
    for _ in range(4):
        world.turn("left")
        world.work_off("left", "writes")
    assert world.manifests()[0].next_offset == 5
    restarted(world, overload=Overload.PROCESS_ALL)
    world.settle()
    assert world.skipped("a") == [range(3, 5)]
    assert seqs(world) == [0, 1, 12, 20]


# ---------------------------------------------------------------------------------- deadly units


class Deadly:
    """A decoder that ends its process at one unit. In a child process it is only lost."""

    lost = False

    def __init__(self, open_fitting: Callable[[], FittingDecoder], death: type[BaseException]):
        self._decoder = open_fitting()
        self._death = death

    def feed(self, content: bytes, *, seq: int | None, wanted: bool) -> FitOutcome:
        if content == FILM[4]:
            raise self._death("a native crash")
        return self._decoder.feed(content, seq=seq, wanted=wanted)

    def close(self) -> None:
        self._decoder.close()


def make_deadly(world: World) -> None:
    whole = world.open_fitting
    assert whole is not None
    world.open_fitting = lambda: Deadly(whole, CrashError)
    world.sandboxed_fitting = lambda: Deadly(whole, LostDecoderError)


def deaths(world: World) -> int:
    """Restart the worker until it stays alive."""
    count = 0
    while count < 9:
        world.launch("left")
        go(world, "left")
        if "left" in world.processes:
            break
        count += 1
        world.bury()
    return count


def test_a_unit_that_kills_its_worker_is_found_at_the_third_attempt(world: World) -> None:
    make_deadly(world)
    film(world, 0, 12)
    assert deaths(world) == 2
    world.settle()
    assert seqs(world) == [0, 1, 2, 3, 10, 11]
    (letter,) = world.log.read_committed(TOPICS.dead_letters)
    assert dict(letter.headers)["reason"] == b"crash"
    assert fates(world) == {"predicted": 6, "dead_lettered": 1, "unkeyed": 5}
    assert world.manifests()[0].attempts == 0


def test_a_unit_that_kills_only_later_workers_is_found_while_they_decode_again(
    world: World,
) -> None:
    """Say, with another processor. The chain that needs it cannot go on."""
    film(world, 0, 6)
    world.launch("left")
    world.settle()
    world.crash("left")
    world.bury()
    make_deadly(world)
    film(world, 6, 12)
    assert deaths(world) == 2
    world.settle()
    assert seqs(world) == [0, 1, 2, 3, 4, 5, 10, 11]
    assert fates(world)["unkeyed"] == 4
    assert world.log.read_committed(TOPICS.dead_letters) == []
    assert Fate.DEAD_LETTERED not in fates(world)
