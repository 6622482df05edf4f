"""The terminal, as all commands write to it. No other module makes a console of rich."""

from collections.abc import Iterable
from typing import IO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import ProgressColumn, Task
from rich.segment import Segment
from rich.status import Status
from rich.style import StyleType
from rich.text import Text

from pipeline.text.printable import printable, printable_lines, printable_message


def plain(text: str, style: StyleType = "") -> Text:
    """Return `printable` text, with a style, for a terminal. It is not read as markup."""
    return Text(printable(text), style)


def two_lines(first: str, second: str) -> Text:
    """Return two lines of `printable` text."""
    return Text(f"{printable(first)}\n{printable(second)}")


class TaskWords(ProgressColumn):
    """A column of a progress bar: words made from its task, without markup."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words

    def render(self, task: Task) -> Text:
        """Return the words."""
        return plain(self._words.format(task=task))


class Terminal(Console):
    """Standard output, standard error or `file`, where text from outside can only be shown.

    A `str` is one line without markup and without names of emoji. Styles come from `plain`. What
    reaches the stream holds no control characters but those of rich itself, and line feeds.
    """

    def __init__(self, *, stderr: bool = False, file: IO[str] | None = None) -> None:
        super().__init__(stderr=stderr, file=file, markup=False, emoji=False, highlight=False)

    def say(self, line: str | Text) -> None:
        """Print a line, which is not wrapped: a log or a pipe gets it whole."""
        self.print(line, soft_wrap=True)

    def complain(self, message: str) -> None:
        """Print the error that ends a command."""
        words = Text.assemble(("longtake:", "bold red"), " ", printable_message(message))
        self.print(words, soft_wrap=True)

    def render_str(self, text: str, **styles: object) -> Text:
        """Convert a `str`: escape it before its width is measured."""
        return super().render_str(printable(text), **styles)  # type: ignore[arg-type]

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render; escape also what came as another object than `str`."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable_lines(segment.text), segment.style)

    def status(
        self,
        status: RenderableType,
        *,
        spinner: str = "dots",
        spinner_style: StyleType = "status.spinner",
        speed: float = 1.0,
        refresh_per_second: float = 12.5,
    ) -> Status:
        """Show words beside a spinner. A `str` is one line without markup."""
        return super().status(
            plain(status) if isinstance(status, str) else status,
            spinner=spinner,
            spinner_style=spinner_style,
            speed=speed,
            refresh_per_second=refresh_per_second,
        )
