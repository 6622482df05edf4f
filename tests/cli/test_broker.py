"""`longtake broker --secure`: what it refuses before anything starts, and what it then shows."""

import io
from pathlib import Path

from pipeline.local.command import show_next_steps
from pipeline.local.secure.protection import Secure
from pipeline.records import Topics
from pipeline.text.terminal import Terminal
from tests.cli.commands import Longtake


def test_a_group_counts_only_with_secure(longtake: Longtake) -> None:
    ended = longtake("broker", "--group", "actions")
    assert ended.code == 2
    assert "counts only with --secure" in ended.err


def test_a_name_that_no_group_can_have_is_refused_before_the_folder_is_made(
    longtake: Longtake, tmp_path: Path
) -> None:
    ended = longtake("broker", "--secure", "users", "--group", "a b")
    assert ended.code == 2
    assert "group = 'a b'" in ended.complaint
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_files_is_left_as_it_is(longtake: Longtake, tmp_path: Path) -> None:
    (tmp_path / "worker.toml").write_text('group = "mine"\n')
    ended = longtake("broker", "--secure", ".")
    assert ended.code == 16
    assert "holds files that `longtake broker --secure` did not make" in ended.complaint
    assert (tmp_path / "worker.toml").read_text() == 'group = "mine"\n'


def test_each_next_step_is_a_line_that_can_be_copied(tmp_path: Path) -> None:
    written = io.StringIO()
    secure = Secure(tmp_path / "my users", ((Topics("f", "p", "d", "s"), "actions"),))
    show_next_steps(secure, Terminal(file=written))
    lines = written.getvalue().splitlines()
    assert len(lines) == 6
    file = f"'{tmp_path}/my users'/worker.toml"
    assert f"  longtake worker --kafka {file} --group actions" in lines
