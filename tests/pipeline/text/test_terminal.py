"""Whatever is given to a `Terminal`, its stream gets text and the terminal's own controls only."""

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from pipeline.cli.shared.progress import columns
from pipeline.text.printable import printable
from pipeline.text.terminal import Terminal, plain

HOSTILE = "\x1b[2J\x9b31m\x07\u202e[red]x[/red] :smile:\r\nforged"
SHOWN = r"\u001b[2J\u009b31m\u0007\u202e[red]x[/red] :smile:\r\nforged"


def written(shown: object) -> str:
    """Print an object, and return what the stream got."""
    stream = StringIO()
    Terminal(file=stream).print(shown, soft_wrap=True)
    return stream.getvalue()


class Screen(StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal for which rich writes no controls of its own."""
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "200")


def cell(text: str | Text) -> Table:
    table = Table(box=None)
    table.add_column(text)
    table.add_row(text)
    return table


@pytest.mark.parametrize("shown", [HOSTILE, plain(HOSTILE), plain(HOSTILE, "bold red")])
def test_a_text_is_one_line_without_controls_markup_or_emoji(shown: str | Text) -> None:
    assert written(shown) == SHOWN + "\n"


@pytest.mark.parametrize("shown", [HOSTILE, plain(HOSTILE)])
def test_so_are_the_cells_and_the_headings_of_a_table(shown: str | Text) -> None:
    assert [line.strip() for line in written(cell(shown)).splitlines()] == [SHOWN, SHOWN]


@given(st.text(st.characters()))
def test_a_text_that_was_never_escaped_keeps_its_line_feeds_alone(text: str) -> None:
    kept = written(Text(text)).replace("\n", "")
    assert printable(kept) == kept


def test_a_status_is_neither_markup_nor_control() -> None:
    screen = Screen()
    with Terminal(file=screen).status(HOSTILE) as status:
        assert isinstance(status.status, Text)
        assert status.status.plain == SHOWN


def test_so_is_the_description_of_a_bar() -> None:
    screen = Screen()
    with Progress(*columns(), console=Terminal(file=screen), transient=False) as bars:
        bars.add_task("[red]\x1b[/red]", total=1)
        bars.refresh()
    assert r"[red]\u001b[/red]" in screen.getvalue()


def test_an_error_begins_with_our_name_and_no_other_line_of_it_does() -> None:
    stream = StringIO()
    Terminal(file=stream).complain("no [red]bundle\x1b\nlongtake: done")
    assert stream.getvalue() == "longtake: no [red]bundle\\u001b\n  longtake: done\n"
