"""All errors in a table are reported by line, and no part of such a table is used."""

from pathlib import Path

import pytest

from pipeline.errors import FootageError
from pipeline.offline.footage.listing import list_videos

HEADER = "video,start_s,end_s,label"


def table(folder: Path, *rows: str, header: str = HEADER) -> Path:
    for name in ("a.mp4", "b.mp4"):
        (folder / name).touch()
    (folder / "t.csv").write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return folder / "t.csv"


def complaint(path: Path) -> list[str]:
    with pytest.raises(FootageError) as refused:
        list_videos(path)
    return str(refused.value).splitlines()


def test_every_wrong_row_is_named_by_file_and_line_in_one_error(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "a.mp4,0,1,left",
        "a.mp4,0.5,2,right",
        "a.mp4,3,3,right",
        "gone.mp4,0,1,left",
        "b.mp4,zero,inf,left",
        "b.mp4,-1,1,",
        "b.mp4,1,2",
    )
    assert complaint(path) == [
        f"{path}: 8 wrong, nothing is trained",
        f"{path}:3: overlaps line 2 of the same video",
        f"{path}:4: ends at 3 s, but begins at 3 s",
        f"{path}:5: no video 'gone.mp4' beside the table",
        f"{path}:6: end_s 'inf' is no number of seconds from 0 on",
        f"{path}:6: start_s 'zero' is no number of seconds from 0 on",
        f"{path}:7: label ''; 1 to 100 characters are wanted",
        f"{path}:7: start_s '-1' is no number of seconds from 0 on",
        f"{path}:8: 3 fields, 4 are wanted",
    ]


def test_a_row_overlaps_a_longer_one_that_is_not_its_neighbour(tmp_path: Path) -> None:
    path = table(tmp_path, "a.mp4,0,9,left", "b.mp4,0,1,right", "a.mp4,1,2,left", "a.mp4,5,6,right")
    assert [line.split(": ")[0] for line in complaint(path)[1:]] == [f"{path}:4", f"{path}:5"]


def test_two_spellings_of_a_video_are_one(tmp_path: Path) -> None:
    path = table(tmp_path, "a.mp4,0,2,left", "./a.mp4,1,3,right")
    assert complaint(path)[1:] == [f"{path}:3: overlaps line 2 of the same video"]


def test_of_many_faults_the_first_twenty_are_shown(tmp_path: Path) -> None:
    lines = complaint(table(tmp_path, *["gone.mp4,0,1,left"] * 25))
    assert len(lines) == 22
    assert lines[-1] == "and 5 more"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("video,start_s,label", "no column end_s"),
        (f"{HEADER},spilt", "unknown column 'spilt'"),
        (f"{HEADER},label", "column label comes 2 times"),
    ],
)
def test_a_wrong_header_is_said_once(tmp_path: Path, header: str, words: str) -> None:
    path = table(tmp_path, "a.mp4,0,1,left", header=header)
    (_, line) = complaint(path)
    assert line.startswith(f"{path}:1: {words}")


def test_a_video_is_on_one_side_only(tmp_path: Path) -> None:
    rows = "a.mp4,0,1,left,train", "a.mp4,1,2,right,validation", "b.mp4,0,1,left,test"
    lines = complaint(table(tmp_path, *rows, header=f"{HEADER},split"))
    assert "split 'validation', but 'train' in line 2" in lines[1]
    assert "split 'test'; it is train, validation or empty" in lines[2]


def test_a_table_lists_each_video_with_its_rows_in_the_order_of_time(tmp_path: Path) -> None:
    rows = "a.mp4,1.5,2,left,train", "b.mp4,0,1,right,", "a.mp4,0,1.5,right,train"
    listed, warnings = list_videos(table(tmp_path, *rows, header=f"{HEADER},split"))
    assert [(video.name, video.split) for video in listed] == [("a.mp4", "train"), ("b.mp4", None)]
    spans = [(row.start_us, row.end_us, row.label) for row in listed[0].rows]
    assert spans == [(0, 1_500_000, "right"), (1_500_000, 2_000_000, "left")]
    assert warnings == []


def test_a_folder_of_each_class_is_a_label_and_others_are_told(tmp_path: Path) -> None:
    for name in ("left/1.mp4", "right/2.MKV", "right/notes.txt", "right/.hidden.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listed, (warning,) = list_videos(tmp_path)
    labels = {video.name: [row.label for row in video.rows] for video in listed}
    assert labels == {"left/1.mp4": ["left"], "right/2.MKV": ["right"]}
    assert warning.startswith("1 left out, right/notes.txt for one: no video by its name")


def test_one_class_is_nothing_to_learn(tmp_path: Path) -> None:
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "1.mp4").touch()
    (line,) = complaint(tmp_path)
    assert "holds videos of 1 classes (left); at least two are wanted" in line


@pytest.mark.parametrize("content", [b"\xff\xfe\x00video", b'video,"a\n'])
def test_a_table_that_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    assert str(tmp_path / "t.csv") in complaint(tmp_path / "t.csv")[0]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["left", "ri\x1b[31mght"], "text must be printable and on one line, U+001B is not"),
        ([f"{n:0240}" for n in range(300)], "labels are 72,000 bytes of text, at most 65,536"),
    ],
)
def test_labels_that_a_bundle_may_not_have_are_refused_before_training(
    tmp_path: Path, names: list[str], sentence: str
) -> None:
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.mp4").touch()
    (line,) = complaint(tmp_path)
    assert sentence in line
