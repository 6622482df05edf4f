"""Each prediction gets the picture that it was made from, or the reason why there is none."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import RestoreStalledError
from pipeline.media.picture_reader import MOST_BYTES, PictureReader
from pipeline.media.pictures import decode_upright
from pipeline.media.sources import encode_jpeg
from pipeline.offline.saved_pictures import predicted_pictures
from pipeline.offline.saved_pictures.picture_folder import PictureFolder
from pipeline.offline.saved_pictures.predicted_pictures import PredictedPictures, SavedPicture
from pipeline.records import Record
from pipeline.wire.predictions import Prediction
from tests.pipeline.media.logged import bare_record, interleaved, logged, unit_record
from tests.pipeline.media.video.encoding import GROUP, numbered
from tests.pipeline.pictures import encoded, jpeg, scene
from tests.pipeline.predictions import Tape


class FramesInMemory:
    """See `FrameLog`. It counts what is read."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = list(records)
        self.log_start = 0
        self.away = False
        self.read_offsets: list[int] = []

    def partitions(self, topic: str) -> list[int]:
        del topic
        return sorted({record.partition for record in self._records})

    def spans(self, topic: str, partitions: Iterable[int]) -> dict[int, range]:
        del topic
        end = max(record.offset for record in self._records) + 1
        return {partition: range(self.log_start, end) for partition in partitions}

    def read(self, topic: str, spans: Mapping[int, range]) -> Iterator[list[Record]]:
        """Read spans, and three records more than was asked for."""
        del topic
        if self.away:
            raise RestoreStalledError("nothing arrives")
        for partition, span in spans.items():
            beyond = range(span.start, span.stop + 3)
            found = [r for r in self._records if r.partition == partition and r.offset in beyond]
            self.read_offsets += [record.offset for record in found[: len(span)]]
            yield found


def told(offsets: Iterable[int], stream: str = "cam-1", partition: int = 0) -> list[Prediction]:
    made = Tape(partition)
    return [Prediction.read(made.predict(offset, stream).value) for offset in offsets]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


def saver(
    path: Path, log: FramesInMemory, *, most_files: int = 1000, streams: Sequence[str] = ()
) -> PredictedPictures:
    folder = PictureFolder(path, most_files=most_files, most_bytes=1 << 30)
    return PredictedPictures(
        log, topic="frames", folder=folder, streams=streams, max_bytes=MOST_BYTES
    )


def outcomes(saved: Mapping[tuple[int, int], SavedPicture]) -> list[str]:
    return [one.file or one.why for _, one in sorted(saved.items())]


def pictures(count: int, stream: str = "cam-1") -> list[Record]:
    return [bare_record(n, jpeg(16, 24, seed=n), stream=stream) for n in range(count)]


def test_a_jpeg_is_saved_with_the_bytes_that_it_has_in_the_log(path: Path) -> None:
    records = pictures(5)
    saved = saver(path, FramesInMemory(records)).save(told([1, 3]))
    assert outcomes(saved) == ["cam-1-0-1.jpg", "cam-1-0-3.jpg"]
    assert sorted(one.name for one in path.iterdir()) == outcomes(saved)
    assert (path / "cam-1-0-3.jpg").read_bytes() == records[3].value


def test_a_picture_of_another_format_becomes_a_jpeg(path: Path) -> None:
    content = encoded(scene(40, 60), "PNG")
    saver(path, FramesInMemory([bare_record(0, content)])).save(told([0]))
    found = decode_upright((path / "cam-1-0-0.jpg").read_bytes())
    wanted = decode_upright(content)
    difference = found.to_ndarray(format="rgb24").astype(int) - wanted.to_ndarray(format="rgb24")
    assert abs(difference).mean() < 4


def test_a_unit_is_saved_as_the_picture_that_was_encoded(path: Path) -> None:
    records = logged(numbered("cabac"))
    saver(path, FramesInMemory(records)).save(told([0, 7, 15]))
    reader = PictureReader()
    wanted = [reader.follow(record).picture for record in records[:16]][7]
    assert isinstance(wanted, av.VideoFrame)
    assert (path / "cam-1-0-7.jpg").read_bytes() == encode_jpeg(wanted)
    assert len(list(path.iterdir())) == 3


def test_units_are_unkeyed_until_the_first_keyframe_after_the_first_prediction(path: Path) -> None:
    saved = saver(path, FramesInMemory(logged(numbered("cabac")))).save(told([4, 8, 11]))
    assert outcomes(saved) == ["unkeyed", "unkeyed", "cam-1-0-11.jpg"]


def test_predictions_that_come_later_go_on_in_the_same_group(path: Path) -> None:
    log = FramesInMemory(logged(numbered("cabac")))
    pictures = saver(path, log)
    first, *others = told(range(0, GROUP, 3))
    pictures.save([first])
    assert outcomes(pictures.save(others)) == [f"cam-1-0-{n}.jpg" for n in (3, 6, 9)]
    assert log.read_offsets == list(range(GROUP))


def test_streams_in_one_partition_and_in_others_are_kept_apart(path: Path) -> None:
    logs = [logged(numbered(n)[:GROUP], stream=n) for n in ("cabac", "cavlc")]
    elsewhere = [unit_record(n, u, seq=n, partition=1) for n, u in numbered("slices")[:GROUP]]
    log = FramesInMemory([*interleaved(logs), *elsewhere])
    predictions = [*told([0, 6], "cabac"), *told([5], "cavlc"), *told([2], partition=1)]
    saved = outcomes(saver(path, log).save([*predictions, *told([0], partition=7)]))
    assert saved == [
        *("cabac-0-0.jpg", "cavlc-0-5.jpg", "cabac-0-6.jpg"),
        *("unkeyed", "its frame is not in the log"),
    ]


def test_of_the_streams_that_are_not_shown_no_unit_is_decoded(path: Path) -> None:
    logs = [logged(numbered(n)[:GROUP], stream=n) for n in ("cabac", "cavlc")]
    pictures = saver(path, FramesInMemory(interleaved(logs)), streams=["cabac"])
    assert outcomes(pictures.save(told([0, 18], "cabac"))) == ["cabac-0-0.jpg", "cabac-0-18.jpg"]
    assert outcomes(pictures.save(told([19], "cavlc"))) == ["unkeyed"]


def test_a_prediction_that_is_repeated_has_the_same_file_and_reads_nothing(path: Path) -> None:
    log = FramesInMemory(logged(numbered("cabac")))
    pictures = saver(path, log)
    before = pictures.save(told([0, 5, 9]))
    assert pictures.save(told([5, 9, 12])) == {
        **{place: before[place] for place in [(0, 5), (0, 9)]},
        (0, 12): SavedPicture("cam-1-0-12.jpg"),
    }
    assert log.read_offsets == list(range(13))


def test_where_predictions_go_back_reading_begins_anew(path: Path) -> None:
    pictures = saver(path, FramesInMemory(logged(numbered("cabac"))))
    pictures.save(told([20, 25]))
    assert outcomes(pictures.save(told([0, 3]))) == ["cam-1-0-0.jpg", "cam-1-0-3.jpg"]


def test_a_long_way_to_the_next_prediction_is_not_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predicted_pictures, "MOST_PASSED", 5)
    log = FramesInMemory(logged(numbered("cabac")))
    saved = saver(path, log).save(told([0, 5, 19, 20]))
    assert outcomes(saved) == ["cam-1-0-0.jpg", "cam-1-0-5.jpg", "unkeyed", "cam-1-0-20.jpg"]
    assert log.read_offsets == [*range(6), 19, 20]


def test_frames_that_retention_has_deleted_are_not_in_the_log(path: Path) -> None:
    log = FramesInMemory(pictures(6))
    log.log_start = 3
    missing = "its frame is not in the log"
    assert outcomes(saver(path, log).save(told([2, 3, 99]))) == [missing, "cam-1-0-3.jpg", missing]


def test_a_broker_that_is_away_costs_the_pictures_of_that_time_alone(path: Path) -> None:
    log = FramesInMemory(logged(numbered("cabac")))
    pictures = saver(path, log)
    pictures.save(told([0]))
    log.away = True
    assert outcomes(pictures.save(told([2]))) == ["its frame cannot be read"]
    log.away = False
    assert outcomes(pictures.save(told([4]))) == ["cam-1-0-4.jpg"]


def test_a_prediction_that_names_the_frame_of_another_stream_gets_no_picture(path: Path) -> None:
    log = FramesInMemory(pictures(2, stream="cam-2"))
    assert outcomes(saver(path, log).save(told([1]))) == ["its frame is of another stream"]
    assert list(path.iterdir()) == []


@pytest.mark.parametrize(("content", "why"), [(b"junk", "undecodable"), (None, "ended")])
def test_a_prediction_that_names_a_record_without_a_picture(
    path: Path, content: bytes | None, why: str
) -> None:
    log = FramesInMemory([bare_record(0, content)])
    assert outcomes(saver(path, log).save(told([0]))) == [why]


def test_a_file_that_is_there_is_kept(path: Path) -> None:
    pictures_of = saver(path, FramesInMemory(pictures(2)))
    (path / "cam-1-0-1.jpg").write_bytes(b"foreign")
    assert outcomes(pictures_of.save(told([0, 1]))) == [
        "cam-1-0-0.jpg",
        "cam-1-0-1.jpg exists already",
    ]
    assert (path / "cam-1-0-1.jpg").read_bytes() == b"foreign"


def test_a_full_folder_gets_no_more_and_nothing_more_is_read(path: Path) -> None:
    log = FramesInMemory(pictures(6))
    saving = saver(path, log, most_files=2)
    assert outcomes(saving.save(told([0, 1, 2])))[2] == "the folder is full"
    assert outcomes(saving.save(told([4]))) == ["the folder is full"]
    assert (len(list(path.iterdir())), log.read_offsets) == (2, [0, 1, 2])


def test_what_is_remembered_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predicted_pictures, "MOST_REMEMBERED", 3)
    log = FramesInMemory(pictures(8))
    saving = saver(path, log)
    saving.save(told(range(8)))
    assert outcomes(saving.save(told([7]))) == ["cam-1-0-7.jpg"]
    assert outcomes(saving.save(told([0]))) == ["cam-1-0-0.jpg exists already"]


def test_the_saved_picture_has_the_size_of_the_frame(path: Path) -> None:
    saver(path, FramesInMemory(logged(numbered("cabac")))).save(told([0]))
    frame = decode_upright((path / "cam-1-0-0.jpg").read_bytes())
    assert np.shape(frame.to_ndarray(format="rgb24")) == (64, 96, 3)
