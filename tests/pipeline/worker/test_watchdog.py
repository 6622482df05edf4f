"""A value that does not change is reported; one that changes, or is None, is not."""

import subprocess
import sys
import threading
from collections.abc import Hashable, Iterable

import pytest

from pipeline.worker.watchdog import EXIT_CODE, Progress, Watchdog


def barks(values: Iterable[Hashable | None], *, ticks: int = 3) -> list[str]:
    """Return the reports for these values, one a tick."""
    shown, said = list(values), list[str]()
    watchdog = Watchdog({"it": Progress(lambda: shown[0], ticks)}, bark=said.append)
    while shown:
        watchdog.tick()
        del shown[0]
    return said


def test_what_stands_still_for_its_ticks_is_named() -> None:
    assert barks([7, 7, 7]) == []
    assert barks([7, 7, 7, 7]) == ["it has stood still for 3 s"]


def test_what_moves_is_left_in_peace() -> None:
    assert barks([1, 1, 1, 2, 2, 2, 3, 3, 3]) == []


def test_what_has_nothing_to_do_is_left_in_peace() -> None:
    assert barks([None] * 10) == []
    assert barks([5, 5, 5, None, 5, 5, 5]) == []


def test_each_thing_has_its_own_patience() -> None:
    said = list[str]()
    watched = {"a": Progress(lambda: 0, ticks=2), "b": Progress(lambda: 0, ticks=4)}
    watchdog = Watchdog(watched, bark=said.append)
    for _ in range(4):
        watchdog.tick()
    assert {line.split()[0] for line in said} == {"a"}


def test_it_watches_in_a_thread_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.worker.watchdog.TICK_S", 0.001)
    heard = threading.Event()
    watchdog = Watchdog({"it": Progress(lambda: 0, ticks=1)}, bark=lambda _: heard.set())
    watchdog.start()
    assert heard.wait(5)
    watchdog.stop()


def test_a_process_that_hangs_says_where_and_ends_with_a_code_of_its_own() -> None:
    code = "from pipeline.worker.watchdog import end_process; end_process('a commit hangs')"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False
    )
    assert ended.returncode == EXIT_CODE
    assert "longtake: a commit hangs; ending so that a supervisor starts us afresh" in ended.stderr
    assert 'File "<string>", line 1' in ended.stderr  # every thread's stack
