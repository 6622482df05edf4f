"""Records under 30,000 names that nobody knows cost a worker and its changelog almost nothing."""

from collections import Counter

import pytest

from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.records import Fate
from pipeline.streams.open_checkpoint import LETTERS_AT_ONCE
from tests.engines.bundles import tiny
from tests.world import POISON, TOPICS, World

NAMES = 30_000
MOST = 100
GARBAGE, NULL, PICTURES = (POISON,), (None,), (b"1", b"2", b"3")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny(tmp_path_factory.mktemp("bundles") / "tiny")


class Flooded:
    """A worker on one partition that has a camera of its own, and then 30,000 other names."""

    def __init__(self, bundle: Bundle, *values: bytes | None) -> None:
        engine = onnxruntime_engine(bundle, 1)
        self.world = World(bundle, lambda _: engine, partitions=1, max_batch=64, max_streams=MOST)
        self.film(0)
        self.world.launch("left")
        self.world.settle()
        for n in range(NAMES):
            self.world.log.publish(0, b"name-%d" % n, values[n % len(values)])
        self.film(1)
        self.world.settle()

    def film(self, n: int) -> None:
        self.world.log.publish(0, b"camera", b"%d" % n, (("seq", b"%d" % n),))

    @property
    def streams_held(self) -> float | None:
        """The number of streams that the worker counts, a second later."""
        self.world.clock.advance(1)
        self.world.turn("left")
        registry = self.world.processes["left"].metrics.registry
        return registry.get_sample_value("longtake_streams")

    @property
    def keys(self) -> set[bytes]:
        changelog = self.world.log.changelog(0)
        return set() if changelog is None else set(changelog.records)

    @property
    def fates(self) -> Counter[Fate]:
        (manifest,) = self.world.manifests()
        return +Counter(dict(manifest.fates))


@pytest.mark.parametrize(
    ("values", "fate"), [(GARBAGE, Fate.DEAD_LETTERED), (NULL, Fate.ENDED)], ids=["garbage", "null"]
)
def test_names_without_a_picture_leave_nothing(
    bundle: Bundle, values: tuple[bytes | None, ...], fate: Fate
) -> None:
    flooded = Flooded(bundle, *values)
    assert flooded.streams_held == 1
    assert flooded.keys == {b"m", b"s:camera"}
    assert flooded.fates == {Fate.PREDICTED: 2, fate: NAMES}


def test_names_with_pictures_begin_up_to_the_limit_and_the_camera_goes_on(bundle: Bundle) -> None:
    flooded = Flooded(bundle, *PICTURES, *GARBAGE, *NULL)
    assert (flooded.streams_held, len(flooded.keys)) == (MOST, MOST + 1)
    assert len(flooded.world.predictions()["camera"]) == 2
    assert flooded.fates.total() == NAMES + 2
    flooded.world.crash("left")
    flooded.world.launch("left")
    flooded.world.log.publish(0, b"one-more", b"1")
    flooded.film(2)
    flooded.world.settle()
    assert (flooded.streams_held, len(flooded.keys)) == (MOST, MOST + 1)
    assert len(flooded.world.predictions()["camera"]) == 3


def test_the_dead_letters_of_names_above_the_limit_hold_no_picture(bundle: Bundle) -> None:
    flooded = Flooded(bundle, bytes(2_000))
    letters = flooded.world.log.read_committed(TOPICS.dead_letters)
    assert len(letters) == LETTERS_AT_ONCE < NAMES + 1 - MOST
    flooded.world.crash("left")
    flooded.world.launch("left")
    flooded.film(2)  # the count of those without a letter outlives the worker
    flooded.world.settle()
    (manifest,) = flooded.world.manifests()
    assert manifest.letters_omitted == NAMES + 1 - MOST - LETTERS_AT_ONCE
    assert flooded.fates[Fate.DEAD_LETTERED] == NAMES + 1 - MOST
    assert {dict(letter.headers)["reason"] for letter in letters} == {b"too_many_streams"}
    assert {letter.value for letter in letters} == {b""}
    assert {dict(letter.headers)["size"] for letter in letters} == {b"2000"}
    assert max(letter.size for letter in letters) < 400
