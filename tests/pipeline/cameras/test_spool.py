"""Shots on disk: in order, bounded, and available to the next process."""

import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.broker.shots import Shot, ShotKind
from pipeline.cameras.lane import Cuts
from pipeline.cameras.spool import Spool
from pipeline.cameras.values import PictureFate
from pipeline.errors import OutputError
from tests.pipeline.cameras import groups as kinds
from tests.pipeline.cameras.groups import RUNS

SECOND = 1_000_000


def shot(number: int, *, stream: str = "gate", size: int = 1000) -> Shot:
    return Shot(stream, number, 7, number * SECOND, bytes([number % 256]) * size)


def spool(file: Path, *, most_bytes: int = 1 << 20, most_s: int = 60) -> Spool:
    return Spool(file, most_bytes=most_bytes, most_us=most_s * SECOND)


def taken(one: Spool) -> list[tuple[int, Shot]]:
    return [found for found in iter(one.take, None) if found is not None]


def test_shots_come_back_as_they_were_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    one = spool(tmp_path / "spool.db")
    one.put([(5, shot(5)), (6, shot(6))], now_us=0)
    one.put([(3, shot(3)), (4, shot(4))], now_us=0)  # shots in flight when the broker went away
    assert taken(one) == [(n, shot(n)) for n in (3, 4, 5, 6)]
    assert (one.frames, one.bytes) == (0, 0)


def test_above_its_bytes_the_oldest_go_and_are_told_by_stream(tmp_path: Path) -> None:
    one = spool(tmp_path / "spool.db", most_bytes=3000)
    gone = one.put([(1, shot(1)), (2, shot(2, stream="yard")), (3, shot(3))], now_us=0)
    assert not gone
    assert one.put([(4, shot(4)), (5, shot(5))], now_us=0) == [(1, "gate"), (2, "yard")]
    assert [number for number, _ in taken(one)] == [3, 4, 5]


def test_what_was_kept_too_long_goes(tmp_path: Path) -> None:
    one = spool(tmp_path / "spool.db", most_s=10)
    for second in range(15):
        one.put([(second, shot(second))], now_us=second * SECOND)
    assert [number for number, _ in taken(one)] == [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]


def test_what_a_process_leaves_is_there_for_the_next(tmp_path: Path) -> None:
    one = spool(tmp_path / "spool.db")
    one.put([(8, shot(8)), (9, shot(9))], now_us=0)
    one.take()
    one.close()
    other = spool(tmp_path / "spool.db")
    assert (other.frames, other.bytes, other.newest) == (1, 1000, 9)
    assert taken(other) == [(9, shot(9))]


@pytest.mark.parametrize("added", ["", "alter table shots add column codec text default 'jpeg'"])
def test_a_spool_keeps_a_column_that_a_newer_release_has_added(tmp_path: Path, added: str) -> None:
    one = spool(tmp_path / "spool.db")
    one.put([(8, shot(8))], now_us=0)
    one.close()
    with closing(sqlite3.connect(tmp_path / "spool.db")) as base:
        base.execute(added)
    other = spool(tmp_path / "spool.db")
    other.put([(9, shot(9))], now_us=0)
    assert taken(other) == [(8, shot(8)), (9, shot(9))]


def test_a_spool_of_an_older_schema_holds_pictures_and_takes_units(tmp_path: Path) -> None:
    file = tmp_path / "spool.db"
    one = spool(file)
    one.put([(8, shot(8))], now_us=0)
    one.close()
    with closing(sqlite3.connect(file)) as base:
        base.execute("alter table shots drop column kind")
        base.execute("pragma user_version = 1")
    other = spool(file)
    unit = kinds.shot(9, ShotKind.KEYFRAME)
    other.put([(9, unit)], now_us=0)
    assert taken(other) == [(8, shot(8)), (9, unit)]


def test_units_go_with_all_that_continue_them(tmp_path: Path) -> None:
    one = spool(tmp_path / "spool.db", most_bytes=1000)
    posted = kinds.shots([(True, 4), (True, 4)])
    one.put(list(enumerate(posted)), now_us=0)
    gone = one.put([(8, kinds.shot(8, ShotKind.UNIT)), (9, shot(9, size=200))], now_us=0)
    assert gone == [(n, "gate") for n in range(4)]
    assert [number for number, _ in taken(one)] == [4, 5, 6, 7, 8, 9]


def test_a_group_whose_end_is_not_there_yet_goes_as_far_as_it_is(tmp_path: Path) -> None:
    one = spool(tmp_path / "spool.db", most_bytes=350)
    yard = kinds.shot(0, ShotKind.PICTURE, stream="yard", size=10)
    shots = [*enumerate(kinds.shots([(True, 4)])), (4, yard)]
    assert one.put(shots, now_us=0) == [(n, "gate") for n in range(4)]
    assert [number for number, _ in taken(one)] == [4]


@settings(max_examples=25)
@given(runs=RUNS, most_bytes=st.integers(100, 2000), puts=st.lists(st.integers(1, 20), max_size=5))
def test_no_unit_leaves_a_spool_without_the_one_before_whatever_is_dropped(
    runs: list[tuple[bool, int]], most_bytes: int, puts: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        posted, gone, cuts = list(enumerate(kinds.shots(runs))), set[int](), Cuts()
        for count in [*puts, len(posted)]:
            one = spool(Path(folder, "spool.db"), most_bytes=most_bytes)
            now, posted = posted[:count], posted[count:]
            admitted = [(n, shot) for n, shot in now if cuts.fate_of(n, shot) is None]
            for number, stream in one.put(admitted, now_us=0):
                cuts.drop(stream, number, PictureFate.EXPIRED)
                gone.add(number)
            one.close()  # the next process reads it
        left = spool(Path(folder, "spool.db"), most_bytes=most_bytes)
        assert kinds.out_of_the_middle([shot for _, shot in taken(left)]) == []
        left.close()


def test_a_spool_of_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "spool.db"
    one = spool(file)
    one.put([(8, shot(8))], now_us=0)
    one.close()
    with closing(sqlite3.connect(file)) as base:
        base.execute("pragma user_version = 3")
    with pytest.raises(OutputError, match=r"spool\.db has schema 3, .* up to 2"):
        spool(file)
    with closing(sqlite3.connect(file)) as base:
        assert base.execute("pragma user_version").fetchone() == (3,)


def test_an_empty_spool_leaves_no_file(tmp_path: Path) -> None:
    one = spool(tmp_path / "deep" / "spool.db")
    one.put([(1, shot(1))], now_us=0)
    taken(one)
    one.close()
    assert list((tmp_path / "deep").iterdir()) == []


def test_two_processes_cannot_have_the_same_file(tmp_path: Path) -> None:
    one = spool(tmp_path / "spool.db")
    with pytest.raises(OutputError, match=r"spool\.db cannot be used: database is locked"):
        spool(tmp_path / "spool.db")
    one.close()


def test_a_file_that_is_no_spool_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but long enough to be looked at " * 50)
    with pytest.raises(OutputError, match="file is not a database"):
        spool(file)
    assert file.read_text().startswith("not a database")


def test_the_database_of_another_program_is_refused_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "accounts.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("create table accounts (name text)")
    before = file.read_bytes()
    with pytest.raises(OutputError, match=r"accounts\.db cannot be used: .* another program"):
        spool(file).close()
    assert file.read_bytes() == before


def test_a_new_spool_is_for_its_owner_alone(tmp_path: Path) -> None:
    one = spool(tmp_path / "spool.db")
    one.put([(1, shot(1))], now_us=0)
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    one.close()


@pytest.mark.parametrize("ends", ["", "-wal", "-shm", "-journal"])
def test_an_existing_spool_is_taken_away_from_others(tmp_path: Path, ends: str) -> None:
    one = spool(tmp_path / "spool.db")
    one.put([(1, shot(1))], now_us=0)
    one.close()
    file = tmp_path / f"spool.db{ends}"
    file.touch()
    file.chmod(0o666)
    again = spool(tmp_path / "spool.db")
    again.put([(2, shot(2))], now_us=0)
    assert {stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()} == {0o600}
    again.close()


def test_a_folder_that_is_made_for_a_spool_is_for_its_owner_alone(tmp_path: Path) -> None:
    spool(tmp_path / "deep" / "spool.db").close()
    assert stat.S_IMODE((tmp_path / "deep").stat().st_mode) == 0o700


@pytest.mark.parametrize("ends", ["", "-wal"])
@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (os.mkfifo, "not a regular file"),
        (Path.mkdir, "directory"),
        (lambda file: file.symlink_to(file.with_name("other")), "symbolic links"),
    ],
    ids=["fifo", "folder", "link"],
)
def test_what_is_no_file_neither_hangs_a_spool_nor_is_written_to(
    tmp_path: Path, ends: str, make: Callable[[Path], object], complaint: str
) -> None:
    make(tmp_path / f"spool.db{ends}")
    with pytest.raises(OutputError, match=complaint):
        spool(tmp_path / "spool.db")
    assert not (tmp_path / "other").exists()


def test_a_spool_of_another_user_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "spool.db"
    file.touch()
    try:
        os.chown(file, 12_345, -1)
    except PermissionError:
        pytest.skip("only root can give a file to another user")
    with pytest.raises(OutputError, match="it belongs to another user"):
        spool(file)
