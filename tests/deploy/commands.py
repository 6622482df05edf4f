"""Checks commands against the real command line, without running them."""

from collections.abc import Sequence

from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from pipeline.cli.main import app


def refusal(words: Sequence[str]) -> str | None:
    """Return why `longtake WORDS` is not a valid command; None if it is valid."""
    if words and words[0].startswith("-"):
        missing = unknown(words)
        return missing and f"no such option: {missing}"
    command, rest = _find(words)
    if isinstance(command, TyperGroup):
        return f"no such command: {' '.join(words)}"
    try:
        command.make_context("longtake", rest)
    except TyperException as exc:
        return str(exc)
    return None


def unknown(words: Sequence[str]) -> str | None:
    """Return the first unknown command or option of `longtake WORDS`; others may be missing."""
    command, rest = _find(words)
    if isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
        return " ".join(words)
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    options = (word.partition("=")[0] for word in rest if word.startswith("--"))
    return next((option for option in options if option not in known | {"--help"}), None)


def _find(words: Sequence[str]) -> tuple[TyperGroup | TyperCommand, list[str]]:
    """Return the command that the first words name, and the remaining words."""
    command, rest = get_command(app), list(words)
    while isinstance(command, TyperGroup) and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    assert isinstance(command, TyperGroup | TyperCommand)
    return command, rest
