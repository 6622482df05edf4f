"""Asks the command line itself whether it takes a command, without running it."""

from collections.abc import Sequence

from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from pipeline.cli.main import app


def refusal(words: Sequence[str]) -> str | None:
    """Why `longtake WORDS` is no command line of ours; None if it is."""
    command, rest = get_command(app), list(words)
    while isinstance(command, TyperGroup):
        if not rest or rest[0] not in command.commands:
            return f"no such command: {' '.join(words)}"
        command = command.commands[rest.pop(0)]
    try:
        command.make_context("longtake", rest)
    except TyperException as exc:
        return str(exc)
    return None
