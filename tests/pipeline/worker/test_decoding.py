"""Which decoder gets a frame, in which order, and how long the worker waits for it."""

from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED
from dataclasses import replace
from typing import ClassVar

import pytest

from engines.base import InputArray
from engines.model.bundle import Bundle
from engines.model.inputs import LettersInput
from pipeline.clock import ManualClock
from pipeline.config import WorkerConfig
from pipeline.errors import UndecodableFrameError
from pipeline.media.video.lanes.decoder_limit import DecoderLimit
from pipeline.media.video.lanes.fitting import FitOutcome, OwnFitting
from pipeline.media.video.lanes.unit_chain import ChainRules
from pipeline.records import Admission, Frame
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.streams.stream import Stream
from pipeline.worker import decoding
from pipeline.worker.decoding import DecodeCosts, Decoding
from pipeline.worker.metrics.worker_metrics import WorkerMetrics
from tests.pipeline.adder import decode_brightness
from tests.pipeline.changelogs import manifest
from tests.pipeline.frame_path import NO_PICTURE, RULES, frame, undecodable
from tests.pipeline.media.video.encoding import encoded
from tests.pipeline.unit_path import FIT, MOST_PIXELS, units
from tests.world import Steps

DECODE_S = 0.25
BRIGHT = 100
COSTLY = 30_000_000


def cost_of(content: bytes) -> int:
    """A bright picture is a large one."""
    return COSTLY if content[0] >= BRIGHT else 100


class Decoders:
    """Two partitions whose frames are decoded when the test says so; each takes `DECODE_S`."""

    def __init__(self, chains: ChainRules | None = None, *, at_once_bytes: int = -1) -> None:
        self.clock, self.steps, self.metrics = ManualClock(), Steps(), WorkerMetrics()
        self.decoded: list[tuple[str, bytes]] = []  # by which decoder, what
        self.decoding = Decoding(
            self._plain,
            self._careful,
            chains=chains,
            costs=DecodeCosts(cost_of, most_running=COSTLY, at_once_bytes=at_once_bytes),
            executor=self.steps,
            clock=self.clock,
            metrics=self.metrics,
            traces=None,
        )
        self.partitions = [Partition(n, era=1, manifest=manifest()) for n in (0, 1)]

    def _plain(self, content: bytes) -> InputArray:
        return self._decode("plain", content)

    def _careful(self, content: bytes) -> InputArray:
        return self._decode("careful", content)

    def _decode(self, name: str, content: bytes) -> InputArray:
        self.clock.advance(DECODE_S)
        self.decoded.append((name, content))
        return decode_brightness(content)

    def begin(self, number: int, arrived: Frame, *, suspected: bool = False) -> Item:
        item = self.partitions[number].admit(arrived, RULES)
        assert item is not None
        self.decoding.begin(item, replace(arrived, partition=number), suspected=suspected)
        return item

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)


@pytest.fixture
def decoders() -> Decoders:
    return Decoders()


def test_a_frame_is_ready_once_its_decoder_has_run(decoders: Decoders) -> None:
    item = decoders.begin(0, frame(0, brightness=7))
    assert (item.steps, item.ready) == (True, False)
    decoders.steps.run_all()
    assert item.ready
    assert item.decoded()[0, 0, 0] == 7


def test_only_suspected_frames_are_decoded_with_care(decoders: Decoders) -> None:
    decoders.begin(0, frame(0, brightness=1), suspected=True)
    decoders.begin(0, frame(1, brightness=2))
    decoders.steps.run_all()
    assert decoders.decoded == [("careful", b"\x01"), ("plain", b"\x02")]


def test_what_costs_less_than_its_way_to_another_thread_is_decoded_at_once() -> None:
    decoders = Decoders(at_once_bytes=len(NO_PICTURE))
    item, broken = decoders.begin(0, frame(0, brightness=7)), decoders.begin(0, undecodable(1))
    assert item.ready
    assert item.decoded()[0, 0, 0] == 7
    assert decoders.decoding.undecoded_bytes(0) == 0
    with pytest.raises(UndecodableFrameError, match="no brightness"):
        broken.decoded()
    large = decoders.begin(0, replace(frame(2, brightness=7), content=bytes(len(NO_PICTURE) + 1)))
    suspected = decoders.begin(0, frame(3, brightness=7), suspected=True)
    assert not large.ready
    assert not suspected.ready


def test_letters_alone_are_decoded_at_once(bundle: Bundle) -> None:
    letters = LettersInput(kind="text", length=8, fit="cut")
    assert DecodeCosts.of(WorkerConfig(), letters).at_once_bytes > 0
    assert DecodeCosts.of(WorkerConfig(), bundle.input).at_once_bytes < 0


def test_partitions_take_turns_at_the_decoders(decoders: Decoders) -> None:
    for number, offset in ((0, 0), (0, 1), (0, 2), (1, 0)):
        decoders.begin(number, frame(offset, brightness=10 * number + offset))
    decoders.steps.run_all()
    assert [content[0] for _, content in decoders.decoded] == [0, 10, 1, 2]


def test_what_does_not_decode_is_raised_where_its_pixels_are_wanted(decoders: Decoders) -> None:
    item = decoders.begin(0, undecodable(0))
    decoders.steps.run_all()
    assert item.ready
    with pytest.raises(UndecodableFrameError, match="no brightness"):
        item.decoded()


def test_how_long_each_picture_takes_is_counted_whether_it_decodes_or_not(
    decoders: Decoders,
) -> None:
    decoders.begin(0, frame(0))
    decoders.begin(0, undecodable(1))
    decoders.steps.run_all()
    assert decoders.value("longtake_decode_seconds_count") == 2
    assert decoders.value("longtake_decode_seconds_sum") == pytest.approx(2 * DECODE_S)


@pytest.mark.timeout(20)
def test_the_wait_ends_with_the_first_partition_that_can_go_on(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "DECODE_WAIT_S", 1_000.0)
    decoders.begin(0, frame(0))
    decoders.steps.run_all()
    decoders.begin(1, frame(0))
    decoders.decoding.wait(decoders.partitions, batch=1)
    assert decoders.partitions[0].items[0].ready


def test_what_fits_into_one_batch_is_waited_for_together(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    awaited = list[tuple[int, str]]()

    def waits(futures: list[object], *, timeout: float, return_when: str) -> None:
        awaited.append((len(futures), return_when))

    monkeypatch.setattr(decoding, "wait", waits)
    for number, offset in ((0, 0), (0, 1), (1, 0)):
        decoders.begin(number, frame(offset))
    for batch in (3, 2):
        decoders.decoding.wait(decoders.partitions, batch=batch)
    assert awaited == [(3, ALL_COMPLETED), (2, FIRST_COMPLETED)]


@pytest.mark.timeout(20)
def test_where_nothing_is_decoded_nothing_is_waited_for(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "DECODE_WAIT_S", 1_000.0)
    decoders.decoding.wait(decoders.partitions, batch=1)
    decoders.decoding.wait([], batch=1)


def test_a_decoder_that_does_not_answer_is_not_waited_for_for_long(decoders: Decoders) -> None:
    item = decoders.begin(0, frame(0))
    decoders.decoding.wait(decoders.partitions, batch=1)
    assert not item.ready


def test_a_picture_counts_unpacked_until_it_is_decoded_or_cancelled(decoders: Decoders) -> None:
    decoders.begin(0, frame(0, brightness=BRIGHT))
    cancelled = decoders.begin(0, frame(1, brightness=BRIGHT))
    decoders.begin(1, frame(0, brightness=1))
    counted = [decoders.decoding.undecoded_bytes(number) for number in (0, 1)]
    assert counted == [2 * COSTLY, 100]
    cancelled.abandon()
    assert decoders.decoding.undecoded_bytes(0) == COSTLY
    decoders.steps.run_all()
    assert [decoders.decoding.undecoded_bytes(number) for number in (0, 1)] == [0, 0]


def test_costly_pictures_of_one_stream_wait_for_the_others(decoders: Decoders) -> None:
    for offset in range(3):
        decoders.begin(0, frame(offset, "bomber", brightness=BRIGHT + offset))
    for offset in range(3, 6):
        decoders.begin(0, frame(offset, brightness=offset))
    decoders.steps.run_all()
    order = [content[0] for _, content in decoders.decoded]
    assert order == [3, 4, 5, BRIGHT, BRIGHT + 1, BRIGHT + 2]


# -------------------------------------------------------------------------------- units of H.264


class Recording(OwnFitting):
    """A decoder that keeps what it is fed, with all others of its kind."""

    fed: ClassVar[list[bytes]] = []

    def feed(self, content: bytes, *, seq: int | None, wanted: bool) -> FitOutcome:
        Recording.fed.append(content)
        return super().feed(content, seq=seq, wanted=wanted)


def open_recording() -> Recording:
    return Recording(FIT, max_frame_pixels=MOST_PIXELS)


@pytest.fixture
def unit_decoders() -> Decoders:
    Recording.fed.clear()
    limit = DecoderLimit(9)
    return Decoders(ChainRules(open_recording, open_recording, limit, RULES.keyframe_ms))


def test_streams_of_units_take_turns_across_partitions(unit_decoders: Decoders) -> None:
    films = (units("cabac", 4), units("cavlc", 4))
    for partition, film in zip(unit_decoders.partitions, films, strict=True):
        known = Stream("a")
        known.head = known.admission = Admission(record_ms=0, seen_us=0)
        partition.adopt([known])
        for one in film:
            assert partition.admit(replace(one, partition=partition.number), RULES) is not None
    unit_decoders.decoding.submit_units(unit_decoders.partitions)
    unit_decoders.steps.run_all()
    fed = [("cabac" if content in encoded("cabac") else "cavlc") for content in Recording.fed]
    for half in (fed[:2], fed[:4], fed):  # by cost, which is nearly the same
        assert sorted(half) == ["cabac"] * (len(half) // 2) + ["cavlc"] * (len(half) // 2)
    assert unit_decoders.value("longtake_decode_seconds_count") == 8
