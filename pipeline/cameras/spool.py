"""Shots that wait on disk while the broker is away: the newest seconds, in order."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.broker.shots import Shot, ShotKind
from pipeline.errors import OutputError
from pipeline.private_files import FOLDER_MODE, make_private

SCHEMA = 2  # in `user_version`; 0 is a file that is being made. Columns with defaults may be added
_APPLICATION = int.from_bytes(b"LtSp", "big")  # SQLite's application_id: marks our files
_OPEN = (
    # One process locks the file for its whole life. A crash of the machine (not of the process)
    # may lose the last seconds: that is what `synchronous = normal` means.
    "pragma locking_mode = exclusive",
    "pragma journal_mode = wal",
    f"pragma application_id = {_APPLICATION}",
    "pragma synchronous = normal",
)
_MAKE = (
    f"pragma user_version = {SCHEMA}",  # a write, so that the lock is taken now
    """create table if not exists shots (
        number integer primary key, kept_us integer not null,
        stream text not null, seq integer not null, epoch integer not null,
        captured_us integer not null, content blob not null,
        kind integer not null default 0
    )""",
)
_ADD_KIND = f"alter table shots add column kind integer not null default {ShotKind.PICTURE:d}"
_OWNER = "select application_id from pragma_application_id"
_COLUMNS = """select tables.name, columns.name from sqlite_master as tables
    left join pragma_table_info(tables.name) as columns order by columns.cid"""
_UNMARKED = [  # the columns of a spool from a release before the mark
    ("shots", column)
    for column in ("number", "kept_us", "stream", "seq", "epoch", "captured_us", "content")
]
_SUMS = "select count(*), coalesce(sum(length(content)), 0), coalesce(max(number), 0) from shots"
_PUT = """insert into shots (number, kept_us, stream, seq, epoch, captured_us, content, kind)
    values (?, ?, ?, ?, ?, ?, ?, ?)"""
_OLDEST = "select number, stream, seq, epoch, captured_us, content, kind from shots order by number"
_AGES = "select number, kind, stream, length(content), kept_us from shots order by number"
BUSY_S = 1.0


class Spool:
    """A bounded queue of shots in a file, in the order of their numbers.

    The oldest shots are dropped when all of them exceed `most_bytes`, or when a shot has been
    kept for more than `most_us`. A unit of video is dropped with those that continue it: after a
    hole each stream goes on with a picture or a keyframe. One thread uses it. Shots that a killed
    process left are still there for the next process. The file holds pictures, so only its owner
    can read it, and an existing file that others can read is taken away from them.
    Every method raises `OutputError` if the file cannot be used: the disk is full, another process
    holds the lock, or the file is another program's database.
    """

    def __init__(self, file: Path, *, most_bytes: int, most_us: int) -> None:
        self._file = file
        self._most_bytes = most_bytes
        self._most_us = most_us
        with self._translated():
            file.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            for one in (file, *(beside for beside in _beside(file) if os.path.lexists(beside))):
                make_private(one)
            self._base = sqlite3.connect(file, timeout=BUSY_S, check_same_thread=False)
            self._refuse_foreign()
            for statement in _OPEN:
                self._base.execute(statement)
            self._require_schema()
            for statement in _MAKE:
                self._base.execute(statement)
            self._follow_schema()
            self.frames, self.bytes, self.newest = self._base.execute(_SUMS).fetchone()

    def _require_schema(self) -> None:
        (schema,) = self._base.execute("pragma user_version").fetchone()
        if schema > SCHEMA:
            self._base.close()
            raise OutputError(
                f"the spool {self._file} has schema {schema}, this release reads up to {SCHEMA}: a"
                " newer longtake has left frames in it. Run that release, or name another file"
            )

    def _follow_schema(self) -> None:
        """Add what a spool of an older release lacks."""
        columns = {column for _, column in self._base.execute(_COLUMNS)}
        if "kind" not in columns:
            self._base.execute(_ADD_KIND)

    def _refuse_foreign(self) -> None:
        """Refuse another program's database: `close` would delete it when no frame waits in it."""
        (application,) = self._base.execute(_OWNER).fetchone()
        columns = self._base.execute(_COLUMNS).fetchall()
        if columns and application != _APPLICATION and columns != _UNMARKED:
            self._base.close()
            raise OutputError(
                f"the spool {self._file} cannot be used: it is the database of another program;"
                " name another file"
            )

    def put(self, shots: Sequence[tuple[int, Shot]], *, now_us: int) -> list[tuple[int, str]]:
        """Store numbered shots. Returns the numbers and the streams of those that were dropped."""
        rows = [(number, now_us, *_columns(shot)) for number, shot in shots]
        with self._translated(), self._base:
            self._base.executemany(_PUT, rows)
        self.frames += len(rows)
        self.bytes += sum(len(shot.content) for _, shot in shots)
        return self._expire(now_us)

    def take(self) -> tuple[int, Shot] | None:
        """Remove and return the oldest shot; None when the spool is empty."""
        with self._translated():
            found = self._base.execute(f"{_OLDEST} limit 1").fetchone()
        if found is None:
            return None
        number, stream, seq, epoch, captured_us, content, kind = found
        self._remove([(number, len(content))])
        return number, Shot(stream, seq, epoch, captured_us, content, ShotKind(kind))

    def _expire(self, now_us: int) -> list[tuple[int, str]]:
        gone: list[tuple[int, str]] = []
        doomed: list[tuple[int, int]] = []
        cut = set[str]()  # streams of which a unit is dropped, and no keyframe has come since
        over_bytes = self.bytes - self._most_bytes
        with self._translated():
            for number, kind, stream, size, kept_us in self._base.execute(_AGES):
                due = over_bytes > 0 or now_us - kept_us > self._most_us
                if kind != ShotKind.UNIT:
                    cut.discard(stream)
                if not due and not cut:
                    break
                if due or stream in cut:
                    over_bytes -= size
                    gone.append((number, stream))
                    doomed.append((number, size))
                    if kind != ShotKind.PICTURE:
                        cut.add(stream)
        self._remove(doomed)
        return gone

    def _remove(self, sizes: Sequence[tuple[int, int]]) -> None:
        with self._translated(), self._base:
            self._base.executemany("delete from shots where number = ?", [(n,) for n, _ in sizes])
        self.frames -= len(sizes)
        self.bytes -= sum(size for _, size in sizes)

    def close(self) -> None:
        """Close the file; if no shot waits in it, delete it."""
        with self._translated():
            self._base.close()
            if not self.frames:
                self._file.unlink(missing_ok=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            raise OutputError(
                f"the spool {self._file} cannot be used: {exc}. Is the disk full, or does another"
                " `longtake camera` use it?"
            ) from exc


def _beside(file: Path) -> list[Path]:
    """Return the names of the files in which SQLite keeps a part of this one."""
    return [file.with_name(f"{file.name}-{end}") for end in ("wal", "shm", "journal")]


def _columns(shot: Shot) -> tuple[object, ...]:
    place = (shot.stream, shot.seq, shot.epoch, shot.captured_us)
    return *place, shot.content, shot.kind
