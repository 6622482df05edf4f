"""Where there is no terminal, a long job says how far it is in plain lines."""

from io import StringIO

import pytest

from pipeline.cli.shared.progress import tasks
from pipeline.text.terminal import Terminal


@pytest.mark.parametrize("by", ["advance", "update"])
def test_a_line_is_written_for_each_tenth_however_it_is_told(by: str) -> None:
    written = StringIO()
    with tasks(Terminal(file=written)) as progress:
        task = progress.add_task("frames", total=2000)
        for _ in range(40):
            if by == "advance":
                progress.advance(task, 50)
            else:
                progress.update(task, advance=50, description="frames")
    lines = written.getvalue().splitlines()
    assert lines == [f"frames: {200 * n:,} of 2,000" for n in range(1, 11)]
