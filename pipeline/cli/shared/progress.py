"""How far a long job is: a bar on a terminal, plain lines elsewhere."""

from types import TracebackType
from typing import Any, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pipeline.offline.steps import StepsDone
from pipeline.text.terminal import TaskWords, Terminal

LINES = 10  # where there is no terminal


def columns(what: str = "{task.description}") -> tuple[ProgressColumn, ...]:
    """What every bar shows: what is counted, how much of it is done, and how long it takes."""
    return (
        TaskWords(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


def tasks(console: Terminal) -> Progress:
    """A progress display for several tasks, each with a total; the caller adds and updates them."""
    if not console.is_terminal:
        return _Lines(console=console, disable=True)
    return Progress(*columns(), console=console, transient=True)


def a_bar_each(progress: Progress) -> StepsDone:
    """Show a bar for each kind of step, from its first step on."""
    bars: dict[str, TaskID] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in bars:
            bars[what] = progress.add_task(what)
        progress.update(bars[what], completed=done, total=total)

    return show


class _Lines(Progress):
    """A line for each tenth of a task, in place of its bar."""

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Update the task, and print a line if another tenth is done."""
        before = self._tenth(task_id)
        super().advance(task_id, advance)
        self._tell(task_id, before)

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Update the task, and print a line if another tenth is done."""
        before = self._tenth(task_id)
        super().update(task_id, **changes)
        self._tell(task_id, before)

    def _tell(self, task_id: TaskID, before: int) -> None:
        task = self._tasks[task_id]
        if self._tenth(task_id) > before:
            line = f"{task.description}: {task.completed:,.0f} of {task.total:,.0f}"
            self.console.print(line)

    def _tenth(self, task_id: TaskID) -> int:
        task = self._tasks[task_id]
        return int(LINES * task.completed / (task.total or 1))


class RecordsRead:
    """Counts records of a total. `quiet` where the terminal shows something else."""

    def __init__(self, total: int, console: Terminal, *, quiet: bool) -> None:
        self._total = total
        self._done = 0
        self._console = console
        self._lines = not quiet and not console.is_terminal
        self._bar = Progress(
            *columns("records"),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task("records", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def reach(self, what: str, done: int, total: int) -> None:
        """Show that `done` records are read: a `StepsDone`."""
        del what, total
        step = max(1, self._total // LINES)
        if self._lines and done // step > self._done // step:
            self._console.print(f"{done} of {self._total} records")
        self._done = done
        if not self._bar.disable:
            self._bar.update(self._task, completed=done)


class Stages:
    """Shows one stage after the other. A context manager: leave it before anything else prints."""

    def __init__(self, console: Terminal) -> None:
        self._console = console
        self._bar = Progress(
            *columns(),
            TaskWords("{task.fields[words]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = TaskID(0)
        self._what, self._total, self._done = "", 0, 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, what: str, total: int) -> None:
        """Begin a stage of so many steps."""
        if self._total:
            self._bar.stop_task(self._task)  # it may have ended before its total
        self._what, self._total, self._done = what, total, 0
        self._task = self._bar.add_task(what, total=total, words="")

    def reach(self, done: int, words: str = "") -> None:
        """So many steps of the stage are done."""
        step = max(1, self._total // LINES)
        if self._bar.disable and (done // step > self._done // step or done == self._total):
            self.say(f"{self._what}: {done} of {self._total}{words and ', '}{words}")
        self._done = done
        self._bar.update(self._task, completed=done, words=words)

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._console.say(line)
