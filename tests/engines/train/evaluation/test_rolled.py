"""Streams of different lengths are rolled as if each were alone, with and without resets."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")

from engines.errors import BundleError
from engines.onnxrt import onnxruntime_engine
from engines.train.evaluation.labelled import LabelledStream, StreamSet
from engines.train.evaluation.rolled import Rolled, roll_set
from engines.train.rolling import NEVER, roll
from tests.engines.bundles import SIDE, tiny

LENGTHS = (7, 3, 11, 1, 5)


def films(lengths: tuple[int, ...] = LENGTHS) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (n, SIDE, SIDE, 3), np.uint8) for n in lengths]


def streams(films: list[np.ndarray], *, side_by_side: int) -> StreamSet:
    labelled = [
        LabelledStream(str(i), zip(film, [i % 3] * len(film), strict=True))
        for i, film in enumerate(films)
    ]
    return StreamSet("noise", labelled, sum(map(len, films)), side_by_side)


def rolled(path: Path, resets: tuple[int, ...], *, side_by_side: int = 3) -> list[Rolled]:
    engine = onnxruntime_engine(tiny(path), threads=1)
    one = streams(films(), side_by_side=side_by_side)
    return roll_set(engine, one, resets=resets, advance=lambda count: None)


@pytest.mark.parametrize("side_by_side", [1, 2, 5])
def test_every_stream_answers_as_if_it_were_alone(tmp_path: Path, side_by_side: int) -> None:
    found = rolled(tmp_path, (NEVER, 2), side_by_side=side_by_side)
    for film, one in zip(films(), found, strict=True):
        alone = roll(onnxruntime_engine(tiny(tmp_path), threads=1), film[None], resets=(NEVER, 2))
        for reset in (NEVER, 2):
            np.testing.assert_array_equal(one.logits[reset], alone[reset][:, 0])


def test_a_state_that_is_always_reset_answers_each_frame_as_the_first_of_a_stream(
    tmp_path: Path,
) -> None:
    longest = max(rolled(tmp_path, (1, NEVER)), key=lambda one: len(one.labels))
    engine = onnxruntime_engine(tiny(tmp_path), threads=1)
    for frame, line in zip(films()[2], longest.logits[1], strict=True):
        first = roll(engine, frame[None, None])[NEVER][0, 0]
        np.testing.assert_array_equal(line, first)
    assert (longest.logits[1][1:] != longest.logits[NEVER][1:]).any(-1).all()


def test_labels_and_features_stay_with_their_stream(tmp_path: Path) -> None:
    engine = onnxruntime_engine(tiny(tmp_path), threads=1)
    for i, (film, one) in enumerate(zip(films(), rolled(tmp_path, ()), strict=True)):
        assert one.labels.tolist() == [i % 3] * len(film)
        np.testing.assert_array_equal(one.features, engine.encode(film).array)


def test_progress_adds_up_to_all_frames(tmp_path: Path) -> None:
    engine, told = onnxruntime_engine(tiny(tmp_path), threads=1), list[int]()
    roll_set(engine, streams(films(), side_by_side=2), resets=(NEVER,), advance=told.append)
    assert sum(told) == sum(LENGTHS)


def test_streams_are_read_no_further_ahead_than_they_are_rolled(tmp_path: Path) -> None:
    engine, made = onnxruntime_engine(tiny(tmp_path), threads=1), list[int]()

    def endless() -> Iterator[LabelledStream]:
        for i, stream in enumerate(streams(films(), side_by_side=2).streams):
            made.append(i)
            yield stream

    ahead: list[int] = []
    one = StreamSet("noise", endless(), 0, side_by_side=2)
    roll_set(engine, one, resets=(), advance=lambda _: ahead.append(len(made)))
    assert ahead[0] == 2


def test_an_answer_that_is_not_finite_is_refused_with_stream_and_frame(tmp_path: Path) -> None:
    engine = onnxruntime_engine(tiny(tmp_path, explodes=True), threads=1)
    dull, white = films((4, 4))
    white[2] = 255
    with pytest.raises(BundleError, match=r"frame 2 of stream 1 is not finite"):
        roll_set(
            engine, streams([dull, white], side_by_side=2), resets=(NEVER,), advance=lambda _: None
        )
