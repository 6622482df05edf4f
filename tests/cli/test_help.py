"""What the command says about itself."""

from importlib.metadata import version
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from pipeline.cli.main import app
from tests.cli.commands import Longtake


def commands(command: Any, *path: str) -> list[tuple[str, ...]]:
    """Every command that does something, by the words that lead to it."""
    below = getattr(command, "commands", {})
    deeper = [found for name, one in below.items() for found in commands(one, *path, name)]
    return deeper or [path]


@pytest.mark.parametrize("command", commands(typer.main.get_command(app)), ids=" ".join)
def test_the_help_of_every_command_shows_an_example(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0
    assert f"Example: longtake {' '.join(command)}" in shown.output


def test_the_version_is_that_of_the_distribution(longtake: Longtake) -> None:
    assert longtake("--version").out == f"longtake {version('longtake')}\n"


def test_a_command_that_does_not_exist_is_a_usage_error(longtake: Longtake) -> None:
    ended = longtake("wroker")
    assert ended.code == 2
    assert "No such command 'wroker'" in ended.err
