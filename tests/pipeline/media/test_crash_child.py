"""A picture that crashes its decoder kills only a child process."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.model.inputs import LettersInput, PictureInput
from pipeline.errors import CrashingFrameError, UndecodableFrameError
from pipeline.media import crash_child
from pipeline.media.crash_child import ChildDecoder
from pipeline.media.pictures import Fit, decode_picture
from pipeline.media.video.lanes.decoder_limit import DecoderLimit
from pipeline.media.video.lanes.fitting import FitOutcome, Fitted, FittingDecoder, OwnFitting
from pipeline.media.video.lanes.unit_chain import ChainRules, UnitChain, UnitResult
from pipeline.media.video.outcomes import Unkeyed
from pipeline.records import Frame
from tests.pipeline.media.video.encoding import encoded
from tests.pipeline.pictures import jpeg
from tests.pipeline.unit_path import unit, units

FIT = Fit(16, 24, "stretch")
MOST_PIXELS = 200 * 100
INPUT = PictureInput(
    height=16, width=24, fit="stretch", colour="rgb", mean=(0, 0, 0), std=(1, 1, 1), rate_hz=None
)
DEADLY = b"kills its decoder"
HANGING = b"hangs its decoder"
# Every Python with this on its path imports it: a decoder that crashes in two cases.
HOLES = f"""
import os, time
import pipeline.media.pictures
whole = pipeline.media.pictures.decode_picture

def decode_picture(content, *how, **more):
    if content == {DEADLY!r}:
        os.abort()
    if content == {HANGING!r}:
        time.sleep(60)
    return whole(content, *how, **more)

pipeline.media.pictures.decode_picture = decode_picture

from pipeline.media.video.strict_decoder import StrictDecoder
feed_whole = StrictDecoder.feed

def feed(decoder, content, *, seq=None):
    if content == {DEADLY!r}:
        os.abort()
    return feed_whole(decoder, content, seq=seq)

StrictDecoder.feed = feed
"""


@pytest.fixture
def decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildDecoder]:
    (tmp_path / "sitecustomize.py").write_text(HOLES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made = ChildDecoder(INPUT, max_frame_pixels=MOST_PIXELS)
    yield made
    made.close()


def test_a_sound_picture_gives_the_same_pixels_as_in_our_own_process(decoder: ChildDecoder) -> None:
    for seed in (1, 2):
        picture = jpeg(40, 30, seed=seed)
        assert np.array_equal(decoder(picture), decode_picture(picture, FIT))


def test_a_broken_picture_is_refused_with_its_reason(decoder: ChildDecoder) -> None:
    with pytest.raises(UndecodableFrameError, match="JPEG"):
        decoder(b"no picture")


def test_a_picture_above_the_limit_of_pixels_is_refused_there_too(decoder: ChildDecoder) -> None:
    with pytest.raises(UndecodableFrameError, match=r"at most 20000 are decoded \(max_frame_pix"):
        decoder(jpeg(101, 200, seed=1))


def test_a_picture_that_kills_its_decoder_is_convicted_and_the_next_is_decoded(
    decoder: ChildDecoder, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CrashingFrameError, match="17 bytes crashed"):
        decoder(DEADLY)
    assert decoder(jpeg(40, 30, seed=1)).shape == (16, 24, 3)


def test_a_picture_that_hangs_its_decoder_is_convicted_too(
    decoder: ChildDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder(jpeg(40, 30, seed=1))  # the child is up
    monkeypatch.setattr(crash_child, "ANSWER_S", 2.0)
    with pytest.raises(CrashingFrameError):
        decoder(HANGING)


def test_a_child_that_dies_of_something_else_convicts_nobody(decoder: ChildDecoder) -> None:
    decoder(jpeg(40, 30, seed=1))
    child = decoder._child  # noqa: SLF001 - who else could shoot it
    assert child is not None
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # the decoder collects it itself
    assert decoder(jpeg(40, 30, seed=2)).shape == (16, 24, 3)


# ------------------------------------------------------------------------------- units of H.264


def fed(decoder: FittingDecoder, count: int, *, first: int = 0) -> list[FitOutcome]:
    film = encoded("cabac")[first : first + count]
    return [
        decoder.feed(one, seq=first + n, wanted=(first + n) % 2 == 0) for n, one in enumerate(film)
    ]


def test_units_have_a_decoder_for_each_stream_and_the_same_pixels_as_in_our_own_process(
    decoder: ChildDecoder,
) -> None:
    one, other = decoder.open_fitting(), decoder.open_fitting()
    own = fed(own_fitting(), 6)
    begun = fed(one, 3)
    assert next(one.key for one in fed(other, 3, first=10) if isinstance(one, Fitted))
    for found, wanted in zip([*begun, *fed(one, 3, first=3)], own, strict=True):
        assert isinstance(found, Fitted)
        assert isinstance(wanted, Fitted)
        assert (found.key, found.pixels is None) == (wanted.key, wanted.pixels is None)
        if found.pixels is not None and wanted.pixels is not None:
            assert np.array_equal(found.pixels, wanted.pixels)


def test_what_is_wrong_with_a_unit_is_told_in_the_same_words(decoder: ChildDecoder) -> None:
    child, own = decoder.open_fitting(), own_fitting()
    film = encoded("cabac")
    for content in (b"no unit", film[1], film[0], film[3], encoded("cabac", width=512)[0]):
        wanted = own.feed(content, seq=None, wanted=False)
        assert child.feed(content, seq=None, wanted=False) == wanted


def test_a_unit_that_kills_its_decoder_is_convicted_and_other_streams_go_on(
    decoder: ChildDecoder, capfd: pytest.CaptureFixture[str]
) -> None:
    rules = ChainRules(own_fitting, decoder.open_fitting, DecoderLimit(9), 60_000)
    good, bad = UnitChain(rules), UnitChain(rules)
    film = units("cabac", 5)
    deadly = unit(5, DEADLY, seq=5)
    for one in film:
        assert suspected(good, one).whole
        assert suspected(bad, one).whole
    convicted = suspected(bad, deadly)
    assert isinstance(convicted.error, CrashingFrameError)
    assert not convicted.whole
    assert suspected(good, units("cabac", 6)[5]).pixels is not None
    for chain in (good, bad):
        chain.close()


def test_closing_a_decoder_waits_for_no_answer_of_another_one(decoder: ChildDecoder) -> None:
    first = decoder.open_fitting()
    first.feed(encoded("cabac")[0], seq=None, wanted=False)
    with decoder._lock:  # noqa: SLF001 - as while a record hangs in the child
        first.close()
    again = first.feed(encoded("cabac")[1], seq=None, wanted=False)
    assert again == Unkeyed()  # the child has closed it


def own_fitting() -> OwnFitting:
    return OwnFitting(FIT, max_frame_pixels=MOST_PIXELS)


def suspected(chain: UnitChain, frame: Frame) -> UnitResult:
    return chain.feed(frame, now_ms=0, wanted=lambda: True, suspected=True)


def test_letters_are_read_in_the_child_as_here() -> None:
    child = ChildDecoder(LettersInput(kind="text", length=6, fit="cut"), max_frame_pixels=1)
    assert child("Grüße".encode()).tobytes() == "Grüß".encode()
    with pytest.raises(UndecodableFrameError, match="2 bytes are no UTF-8"):
        child(b"\xff\xfe")
    child.close()
