"""Lists the labelled videos of a folder of classes, or of a table. Opens no video.

A table is a CSV with the columns video,start_s,end_s,label and, optionally, split.
"""

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engines.errors import BundleError
from engines.model.description import check_labels
from engines.model.json_parts import is_plain
from pipeline.errors import FootageError
from pipeline.offline.footage.video import FOREVER_US

SUFFIXES = frozenset(
    {".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm"}
)
COLUMNS = ("video", "start_s", "end_s", "label")
SPLIT = "split"
MAX_TABLE_BYTES = 32 << 20
MAX_VIDEOS = 10_000
MAX_LABELS = 1000
MAX_LABEL_CHARACTERS = 100
_LABEL = f"1 to {MAX_LABEL_CHARACTERS} characters are wanted"
SHOWN = 20  # how many faults of a table are shown

Side = Literal["train", "validation"]


@dataclass(frozen=True, slots=True)
class Row:
    """A range of a video with one label. `line`: its line in the table, 0 for a folder's video."""

    line: int
    start_us: int
    end_us: int
    label: str


@dataclass(frozen=True, slots=True)
class ListedVideo:
    """A listed video. `split` is None if its side is to be drawn by the seed."""

    name: str
    path: Path
    rows: tuple[Row, ...]
    split: Side | None = None

    @property
    def labels(self) -> frozenset[str]:
        """The labels that occur in it."""
        return frozenset(row.label for row in self.rows)


def list_videos(path: Path) -> tuple[list[ListedVideo], list[str]]:
    """Read a folder or a table; returns the videos in a fixed order, and warnings.

    Raises one `FootageError` for all faults of a table; it counts them, and shows the first 20.
    """
    if path.is_dir():
        listed, warnings = _list_folder(path)
    elif path.suffix.lower() == ".csv":
        listed, warnings = _list_table(path), []
    else:
        raise FootageError(f"{path} is neither a folder with one folder per class nor a .csv file")
    labels = sorted({label for video in listed for label in video.labels})
    if len(labels) < 2:
        raise FootageError(
            f"{path} holds videos of {len(labels)} classes ({', '.join(labels) or 'none'});"
            " at least two are wanted"
        )
    if len(labels) > MAX_LABELS or len(listed) > MAX_VIDEOS:
        raise FootageError(
            f"{path} has {len(listed):,} videos of {len(labels):,} classes; at most"
            f" {MAX_VIDEOS:,} of {MAX_LABELS:,} are taken"
        )
    try:
        check_labels(labels, str(path))  # now, not when everything is trained
    except BundleError as exc:
        raise FootageError(str(exc)) from exc
    return listed, warnings


def _list_folder(path: Path) -> tuple[list[ListedVideo], list[str]]:
    listed, others = [], list[str]()
    for file in sorted(path.glob("*/*")):
        name = f"{file.parent.name}/{file.name}"
        if file.name.startswith(".") or file.parent.name.startswith("."):
            continue
        if file.suffix.lower() in SUFFIXES and file.is_file():
            listed.append(ListedVideo(name, file, (Row(0, 0, FOREVER_US, file.parent.name),)))
        else:
            others.append(name)
    if not others:
        return listed, []
    return listed, [
        f"{len(others)} left out, {others[0]} for one: no video by its name"
        f" ({', '.join(sorted(SUFFIXES))})"
    ]


def _list_table(path: Path) -> list[ListedVideo]:
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise FootageError(f"{path} is larger than the {MAX_TABLE_BYTES:,} bytes that are read")
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = _Table(path, file)
    except (OSError, UnicodeError, csv.Error) as exc:
        raise FootageError(f"{path} cannot be read: {exc}") from exc
    listed = [table.video(name, rows) for name, rows in table.rows.items()]
    if table.faults:
        raise FootageError(table.complaint())
    return listed


class _Table:
    """The rows of a CSV, grouped by video, and all its faults with their lines."""

    def __init__(self, path: Path, lines: Iterator[str]) -> None:
        self.path = path
        self.faults: list[tuple[int, str]] = []
        self.rows: dict[Path, list[tuple[Row, str, str]]] = {}  # each with its video and split
        table = csv.reader(lines)
        header = [name.strip() for name in next(table, [])]
        self._check_header(header)
        if self.faults:
            return
        for fields in table:
            if len(fields) == len(header):
                self._read(table.line_num, dict(zip(header, map(str.strip, fields), strict=True)))
            elif fields:
                self._fault(table.line_num, f"{len(fields)} fields, {len(header)} are wanted")

    def video(self, path: Path, rows: Sequence[tuple[Row, str, str]]) -> ListedVideo:
        """Make a video of its rows; records overlaps and contradictory splits as faults."""
        ordered = sorted((row for row, _, _ in rows), key=lambda row: (row.start_us, row.line))
        latest = ordered[0]
        for row in ordered[1:]:
            if row.start_us < latest.end_us:
                self._fault(row.line, f"overlaps line {latest.line} of the same video")
            latest = max(latest, row, key=lambda row: row.end_us)
        (row, name, split), *others = rows
        for other, _, wanted in others:
            if wanted != split:
                self._fault(
                    other.line, f"split {wanted!r}, but {split!r} in line {row.line}: a video is"
                    " on one side"
                )  # fmt: skip
        side: Mapping[str, Side] = {"train": "train", "validation": "validation"}
        return ListedVideo(name, path, tuple(ordered), side.get(split))

    def complaint(self) -> str:
        """Return the text of all faults, one line each."""
        words = [f"{self.path}:{line}: {fault}" for line, fault in sorted(self.faults)]
        more = [f"and {len(words) - SHOWN} more"] if len(words) > SHOWN else []
        head = f"{self.path}: {len(words)} wrong, nothing is trained"
        return "\n".join([head, *words[:SHOWN], *more])

    def _check_header(self, header: Sequence[str]) -> None:
        wanted = f"the header is {','.join(COLUMNS)} or {','.join([*COLUMNS, SPLIT])}"
        for name in COLUMNS:
            if name not in header:
                self._fault(1, f"no column {name}; {wanted}")
        for name, count in Counter(header).items():
            if name not in (*COLUMNS, SPLIT):
                self._fault(1, f"unknown column {name!r}; {wanted}")
            elif count > 1:
                self._fault(1, f"column {name} comes {count} times")

    def _read(self, line: int, fields: Mapping[str, str]) -> None:
        faults = len(self.faults)
        start_s, end_s = (self._seconds(line, name, fields[name]) for name in ("start_s", "end_s"))
        if start_s is not None and end_s is not None and end_s <= start_s:
            self._fault(line, f"ends at {end_s:g} s, but begins at {start_s:g} s")
        path = self.path.parent / fields["video"]
        if not fields["video"] or not path.is_file():
            self._fault(line, f"no video {fields['video']!r} beside the table")
        label, split = fields["label"], fields.get(SPLIT, "")
        if not label or len(label) > MAX_LABEL_CHARACTERS or not is_plain(label):
            self._fault(line, f"label {label[:40]!r}; {_LABEL}")
        if split not in ("", "train", "validation"):
            self._fault(line, f"split {split!r}; it is train, validation or empty")
        if start_s is None or end_s is None or len(self.faults) > faults:
            return
        row = Row(line, round(start_s * 1e6), round(end_s * 1e6), label)
        self.rows.setdefault(path.resolve(), []).append((row, fields["video"], split))

    def _seconds(self, line: int, name: str, text: str) -> float | None:
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if 0 <= seconds < FOREVER_US / 1e6:
            return seconds
        self._fault(line, f"{name} {text!r} is no number of seconds from 0 on")
        return None

    def _fault(self, line: int, words: str) -> None:
        self.faults.append((line, words))
