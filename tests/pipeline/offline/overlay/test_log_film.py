"""A stream of the log, pictures or units, becomes a film with each prediction on its frame."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.model.bundle import Bundle
from pipeline.media.picture_reader import MOST_BYTES, PictureReader
from pipeline.media.pictures import Fit, fit_frame
from pipeline.offline.overlay.film import Film
from pipeline.offline.overlay.log_film import LONGEST_PAUSE_US, LogFilm
from pipeline.records import Record
from pipeline.wire.predictions import Prediction
from tests.pipeline.media.logged import FRAME_US, bare_record, interleaved, logged, unit_record
from tests.pipeline.media.video.damage import drop
from tests.pipeline.media.video.encoding import FRAMES, GROUP, encoded, numbered
from tests.pipeline.offline.overlay.films import seen
from tests.pipeline.pictures import jpeg
from tests.pipeline.predictions import Tape

HEIGHT, WIDTH = 384, 576  # of units of 64 x 96, enlarged


def told(offsets: Sequence[int], stream: str = "cam-1") -> list[Prediction]:
    made = Tape()
    return [Prediction.read(made.predict(offset, stream).value) for offset in offsets]


def filmed(
    path: Path, bundle: Bundle, records: Sequence[Record], predictions: Sequence[Prediction] = ()
) -> LogFilm:
    """Film `cam-1` as a replay does, whose predictions come when all records were read."""
    with Film(path, bundle=bundle, truth=None) as film:
        made = LogFilm(film, stream="cam-1", max_bytes=MOST_BYTES)
        assert list(made.watch(records)) == list(records)
        for prediction in predictions:
            made.show(prediction)
        made.end()
    return made


def times_us(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [round(1e6 * frame.time) for frame in container.decode(video=0)]


def pictures(records: Sequence[Record]) -> list[NDArray[np.uint8]]:
    reader = PictureReader()
    found = [reader.follow(record).picture for record in records]
    shape = Fit(HEIGHT, WIDTH, "letterbox")
    return [fit_frame(picture, shape) for picture in found if picture is not None]


def far(one: NDArray[np.int64], other: NDArray[np.integer]) -> float:
    return float(abs(one - other.astype(np.int64)).mean())


def test_the_units_of_a_stream_are_the_frames_of_its_film(tmp_path: Path, bundle: Bundle) -> None:
    records, path = logged(numbered("cabac")), tmp_path / "seen.mp4"
    made = filmed(path, bundle, records)
    assert (made.frames, made.left_out, made.partition) == (FRAMES, 0, 0)
    for drawn, wanted in zip(seen(path), pictures(records), strict=True):
        assert far(drawn, wanted) < 8
    assert times_us(path) == [FRAME_US * n for n in range(FRAMES)]


def test_pictures_and_units_can_be_mixed(tmp_path: Path, bundle: Bundle) -> None:
    units = logged(numbered("cabac")[:GROUP])
    mixed = interleaved([units, [bare_record(n, jpeg(64, 96, seed=n)) for n in range(GROUP)]])
    assert filmed(tmp_path / "seen.mp4", bundle, mixed).frames == 2 * GROUP


def test_a_prediction_is_drawn_on_its_frame_and_on_those_after_it(
    tmp_path: Path, bundle: Bundle
) -> None:
    records = logged(numbered("cabac")[:GROUP])
    filmed(tmp_path / "bare.mp4", bundle, records)
    filmed(tmp_path / "drawn.mp4", bundle, records, told([4]))
    both = zip(seen(tmp_path / "bare.mp4"), seen(tmp_path / "drawn.mp4"), strict=True)
    # where the label is drawn, from the upper left corner on
    changed = [far(bare[:80, :200], drawn[:80, :200]) > 10 for bare, drawn in both]
    assert changed == [False] * 4 + [True] * 6


def test_other_streams_are_not_filmed(tmp_path: Path, bundle: Bundle) -> None:
    ours = logged(numbered("cabac")[:GROUP])
    others = logged(numbered("cavlc")[:GROUP], stream="cam-2")
    records = interleaved([ours, others])
    made = filmed(tmp_path / "seen.mp4", bundle, records, told([1, 3], "cam-2"))
    assert (made.frames, made.left_out) == (GROUP, 0)


def test_frames_that_give_no_picture_are_left_out_and_counted(
    tmp_path: Path, bundle: Bundle
) -> None:
    records = logged(drop(numbered("cabac"), 5))
    made = filmed(tmp_path / "seen.mp4", bundle, records)
    assert (made.frames, made.left_out) == (FRAMES - 5, 4)
    assert times_us(tmp_path / "seen.mp4")[4:6] == [4 * FRAME_US, 10 * FRAME_US]


def test_the_film_shows_the_first_partition_and_names_the_others(
    tmp_path: Path, bundle: Bundle
) -> None:
    records = [
        unit_record(n, unit, seq=n, partition=partition)
        for partition in (2, 0, 1)
        for n, unit in numbered("cabac")[:GROUP]
    ]
    made = filmed(tmp_path / "seen.mp4", bundle, records)
    assert (made.partition, made.elsewhere, made.frames) == (2, {0, 1}, GROUP)


@pytest.mark.parametrize(
    ("step_us", "shown_us"),
    [(3_600_000_000, LONGEST_PAUSE_US), (-3_600_000_000, 3), (LONGEST_PAUSE_US, LONGEST_PAUSE_US)],
)
def test_long_pauses_are_cut_and_clocks_that_are_set_back_are_none(
    tmp_path: Path, bundle: Bundle, step_us: int, shown_us: int
) -> None:
    times = [10**12, 10**12 + step_us, 10**12 + step_us + FRAME_US]
    records = [
        unit_record(n, encoded("cabac")[n], seq=n, captured_us=us) for n, us in enumerate(times)
    ]
    filmed(tmp_path / "seen.mp4", bundle, records)
    assert times_us(tmp_path / "seen.mp4")[:2] == [0, shown_us]


def test_a_stream_without_a_picture_leaves_no_film(tmp_path: Path, bundle: Bundle) -> None:
    made = filmed(tmp_path / "seen.mp4", bundle, logged(numbered("cabac")[1:5]))
    assert (made.frames, made.left_out) == (0, 4)
    assert list(tmp_path.glob("seen*")) == []
