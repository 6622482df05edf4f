"""Plans on disk: whole or not there, and made by one process at a time."""

import errno
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select

import pytest

from engines.tensorrt.plans import PlanCache, key_of
from tests.engines.tensorrt.one_builder import FACTS

LISTENING_S = 0.3  # more than a process that does not wait needs for its next word


def test_a_damaged_plan_is_as_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = PlanCache(tmp_path)
    cache.store(FACTS, b"plan")
    assert cache.load(FACTS) == b"plan"
    cache.path(FACTS).write_bytes(b"plam")
    assert cache.load(FACTS) is None
    assert "is damaged and is made again" in caplog.text


def test_a_plan_under_the_name_of_other_facts_is_as_none(tmp_path: Path) -> None:
    cache, other = PlanCache(tmp_path), {**FACTS, "gpu": "two"}
    cache.store(FACTS, b"plan")
    for kind in ("plan", "json"):
        (tmp_path / f"{key_of(FACTS)}.{kind}").rename(tmp_path / f"{key_of(other)}.{kind}")
    assert cache.load(other) is None


@pytest.mark.parametrize("card", [b"{}", b"not JSON", b"\xff", b"[" * 200_000])
def test_a_plan_with_a_damaged_card_is_as_none(tmp_path: Path, card: bytes) -> None:
    cache = PlanCache(tmp_path)
    cache.store(FACTS, b"plan")
    cache.path(FACTS).with_suffix(".json").write_bytes(card)
    assert cache.load(FACTS) is None


def test_a_card_of_the_release_before_is_read_and_one_of_a_newer_schema_is_not(
    tmp_path: Path,
) -> None:
    cache = PlanCache(tmp_path)
    cache.store(FACTS, b"plan")
    file = cache.path(FACTS).with_suffix(".json")
    card = json.loads(file.read_bytes())
    assert card.pop("schema") == 1
    for changed, plan in ((card, b"plan"), (card | {"schema": 2}, None)):
        file.write_text(json.dumps(changed, indent=1, sort_keys=True))
        assert cache.load(FACTS) == plan


@pytest.mark.parametrize("writes", [0, 1])
def test_who_dies_while_writing_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    cache = PlanCache(tmp_path)
    cache.store(FACTS, b"plan")
    monkeypatch.setattr(os, "fsync", fails_after(writes, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        cache.store(FACTS, b"a newer one")
    assert cache.load(FACTS) == (b"plan" if writes == 0 else None)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".plan"]


def test_reading_a_plan_takes_no_more_memory_than_it_has_bytes(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path)
    cache.store(FACTS, b"plan")
    tracemalloc.start()
    try:
        assert cache.load(FACTS) == b"plan"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_a_full_disk_stops_nobody_and_is_not_filled_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = PlanCache(tmp_path)
    monkeypatch.setattr(os, "fsync", fails_after(0, OSError(errno.ENOSPC, "No space left")))
    cache.store(FACTS, b"plan")
    cache.keep_timings(FACTS, b"timings")
    assert "No space left" in caplog.text
    assert list(tmp_path.iterdir()) == []


def fails_after(calls: int, failure: BaseException) -> Callable[[int], None]:
    """Make an `fsync` that works so many times."""
    left = [calls]

    def fsync(_: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise failure

    return fsync


def test_the_folder_is_the_owners_alone(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path / "plans")
    with cache.locked(FACTS):
        pass
    assert (tmp_path / "plans").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["plan", "json", "timings", "folder"])
def test_a_plan_that_others_can_write_is_not_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    cache = PlanCache(tmp_path / "plans")
    with cache.locked(FACTS):
        cache.store(FACTS, b"plan")
        cache.keep_timings(FACTS, b"timings")
    path = cache.folder if kind == "folder" else cache.path(FACTS).with_suffix(f".{kind}")
    path.chmod(0o777)
    found = cache.load(FACTS), cache.timings(FACTS)
    assert found != (b"plan", b"timings")
    assert "each start builds: other users may write" in caplog.text


def test_plans_are_neither_locked_nor_kept_in_a_folder_of_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans").chmod(0o777)
    cache = PlanCache(tmp_path / "plans")
    with cache.locked(FACTS):
        cache.store(FACTS, b"plan")
    assert list(cache.folder.iterdir()) == []
    assert len(caplog.messages) == 1


def test_a_fifo_as_a_lock_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"{key_of(FACTS)}.lock")
    with PlanCache(tmp_path).locked(FACTS):
        pass


def test_of_two_processes_one_builds_and_the_other_finds_it(tmp_path: Path) -> None:
    with builder(tmp_path) as first:
        assert [first.say(), first.say()] == ["asks", "builds"]
        with builder(tmp_path) as second:
            assert second.say() == "asks"
            assert not second.has_more_to_say()  # it waits
            first.let_go_on()
            assert second.say() == "finds"


class Builder:
    """A process that wants the plan for FACTS."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def say(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def has_more_to_say(self) -> bool:
        assert self._process.stdout is not None
        return bool(select([self._process.stdout], [], [], LISTENING_S)[0])

    def let_go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()


@contextmanager
def builder(folder: Path) -> Iterator[Builder]:
    command = [sys.executable, "-m", "tests.engines.tensorrt.one_builder", str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Builder(process)
        finally:
            process.kill()
