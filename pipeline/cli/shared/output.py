"""What a command writes for its user: files, and lines beside a status that is shown."""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import typer

from pipeline.errors import ConfigError, OutputError
from pipeline.text.printable import printable
from pipeline.text.terminal import Terminal


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print the one JSON object of `--json`: a line of printable ASCII."""
    sys.stdout.write(printable(json.dumps(facts)) + "\n")


def confirm(question: str) -> None:
    """Ask on the terminal. Raises `ConfigError` if there is none, `typer.Abort` after a no."""
    if not sys.stdin.isatty():
        raise ConfigError(f"{question} Nobody is there to be asked: say --yes")
    if not typer.confirm(printable(question), err=True):
        Terminal(stderr=True).say("nothing was changed")
        raise typer.Abort


def write_json_line(out: BinaryIO, value: bytes) -> None:
    """Write a line that is JSON in UTF-8. A file or a program gets these bytes.

    A terminal gets equal JSON that holds no control characters.
    """
    if out is sys.stdout.buffer and sys.stdout.isatty():
        value = printable(value.decode()).encode()
    out.write(value + b"\n")


def write_text(path: Path, text: str) -> None:
    """Write a file. Raises `OutputError`."""
    _write(path, text, "w")


def try_to_write(path: Path) -> None:
    """See that a file can be written, before the work that is to fill it. Raises `OutputError`."""
    _write(path, "", "a")


@contextmanager
def open_output(path: Path | None, *, stdout: bool) -> Iterator[BinaryIO | None]:
    """Open the file of `path`, else standard output if `stdout`, else nothing (None).

    An error of the operating system within ends as `OutputError`: writing is all that is done.
    """
    try:
        if path is not None:
            with path.open("wb") as file:
                yield file
        else:
            yield sys.stdout.buffer if stdout else None
            if stdout:
                sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputError(f"cannot write {path or 'standard output'}: {exc.strerror}") from exc


def _write(path: Path, text: str, mode: str) -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        raise OutputError(f"cannot write {path}: {exc.strerror}") from exc


@contextmanager
def lines_above_status() -> Iterator[None]:
    """Let log lines stand above the status line that is shown, not within it.

    While rich shows one, it stands in the place of `sys.stderr`.
    """
    handlers = [h for h in logging.getLogger().handlers if isinstance(h, logging.StreamHandler)]
    before = [(handler, handler.stream) for handler in handlers]
    for handler in handlers:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler, stream in before:
            handler.setStream(stream)
