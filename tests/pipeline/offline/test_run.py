"""Sources without a broker: every frame has an outcome with its features."""

import gc
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from types import FunctionType, ModuleType

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.media.sources import SourceFrame
from pipeline.offline.run import BATCH, FrameOutcome, SourceReport, predict_sources, serve_files
from tests.engines.bundles import frames, tiny, white


def source(pixels: Iterable[NDArray[np.uint8]], *, step_us: int = 40_000) -> Iterator[SourceFrame]:
    for index, picture in enumerate(pixels):
        yield SourceFrame(index, index * step_us, av.VideoFrame.from_ndarray(picture, "rgb24"))


def reachable(root: object) -> int:
    """Return the number of objects that `root` keeps alive, without code objects."""
    seen, waiting = {id(root)}, [root]
    while waiting:
        for one in gc.get_referents(waiting.pop()):
            if id(one) not in seen and not isinstance(one, type | ModuleType | FunctionType):
                seen.add(id(one))
                waiting.append(one)
    return len(seen)


def outcomes(bundle: Bundle, *sources: Iterator[SourceFrame]) -> Iterator[FrameOutcome]:
    engine = onnxruntime_engine(bundle, threads=1)
    reports = [SourceReport(str(n)) for n in range(len(sources))]
    return predict_sources(sources, model=serve_files(bundle, engine), reports=reports)


def test_a_frame_comes_with_the_features_that_were_stepped(tmp_path: Path) -> None:
    bundle, pixels = tiny(tmp_path), frames(2 * BATCH + 3)
    lines = [outcome.features() for outcome in outcomes(bundle, source(pixels))]
    engine = onnxruntime_engine(bundle, threads=1)
    for picture, line in zip(pixels, lines, strict=True):
        assert line is not None
        assert line.tobytes() == engine.encode(picture[None]).vector(0).tobytes()


def test_features_are_told_apart_by_source(tmp_path: Path) -> None:
    bundle, pixels = tiny(tmp_path), (frames(9, seed=1), frames(7, seed=2))
    engine = onnxruntime_engine(bundle, threads=1)
    for outcome in outcomes(bundle, *(source(one) for one in pixels)):
        line, picture = outcome.features(), pixels[outcome.source][outcome.frame]
        assert line is not None
        assert line.tobytes() == engine.encode(picture[None]).vector(0).tobytes()


def test_frames_that_are_sampled_out_or_not_finite_have_an_outcome_too(tmp_path: Path) -> None:
    bundle, pixels = tiny(tmp_path, rate_hz=10, explodes=True), frames(8)
    pixels[4] = white()
    found = list(outcomes(bundle, source(pixels)))
    assert [outcome.frame for outcome in found] == list(range(8))
    assert [outcome.answer is not None for outcome in found] == [n in (0, 2, 7) for n in range(8)]
    assert [outcome.pick is not None for outcome in found] == [n in (0, 2, 4, 7) for n in range(8)]
    assert found[1].features() is None


@pytest.mark.parametrize("explodes", [False, True])
def test_a_source_is_read_one_batch_ahead_at_most(tmp_path: Path, explodes: bool) -> None:  # noqa: FBT001
    pixels, read = frames(100), 0
    if explodes:
        pixels[:] = white()

    def counted() -> Iterator[SourceFrame]:
        nonlocal read
        for frame in source(pixels):
            read += 1
            yield frame

    for outcome in outcomes(tiny(tmp_path, explodes=explodes), counted()):
        assert read - outcome.frame <= BATCH
    assert read == 100


@pytest.mark.parametrize("count", [BATCH, BATCH + 1, 3 * BATCH - 1])
def test_no_frame_is_lost_however_many_sources_there_are(tmp_path: Path, count: int) -> None:
    pixels = frames(5)
    found = outcomes(tiny(tmp_path), *(source(pixels) for _ in range(count)))
    told = [(outcome.source, outcome.frame) for outcome in found if outcome.answer is not None]
    assert sorted(told) == [(n, frame) for n in range(count) for frame in range(5)]


def test_a_run_keeps_no_more_after_2000_frames_than_after_500(tmp_path: Path) -> None:
    found = outcomes(tiny(tmp_path), source(repeat(frames(1)[0])))
    kept = []
    for frame in (500, 500 + 94 * BATCH):  # at the same place of a batch
        last = next(outcome for outcome in found if outcome.frame == frame)
        assert last.answer is not None
        kept.append(reachable(found))
    assert kept[1] - kept[0] < 50
