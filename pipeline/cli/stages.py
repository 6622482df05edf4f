"""How far a job of several stages is: a bar on a terminal, plain lines elsewhere."""

from rich.console import Console
from rich.progress import Progress, TaskID, TextColumn

from pipeline.cli.progress import LINES, columns


class Stages:
    """Shows one stage after the other. A context manager: leave it before anything else prints."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            *columns(),
            TextColumn("{task.fields[words]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = TaskID(0)
        self._what, self._total, self._done = "", 0, 0

    def __enter__(self) -> "Stages":
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
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
