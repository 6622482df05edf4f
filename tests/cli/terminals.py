"""Text that tries to be more than text, and what a terminal gets from a command."""

import os
import pty
import subprocess
import termios
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.cli.commands import PATIENCE_S, SCRIPT, environment

HOSTILE = (
    "\x1b]0;OWNED\x07\x1b[2J\r\n2026-11-30 00:00:00,000 INFO pipeline: forged\n"
    "longtake: forged\x9b31m\x7f\u202e\u2028\udcff[red] :smile:"
)


def controls(written: bytes) -> set[str]:
    """Return the characters that are more than text, except line feeds."""
    return {one for one in written.decode() if not one.isprintable()} - {"\n"}


def on_a_terminal(arguments: Sequence[str | Path], until: bytes = b"") -> bytes:
    """Run a command on a terminal for which rich writes no controls of its own.

    A command that does not end by itself is killed when it has written `until`.
    """
    ours, theirs = pty.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST  # a line feed stays one
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    written = bytearray()
    with subprocess.Popen(
        [SCRIPT, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="dumb"),
    ) as running:
        os.close(theirs)
        with suppress(OSError):  # the other end is closed
            while block := os.read(ours, 65_536):
                written += block
                if until and until in written:
                    running.kill()
        running.wait(PATIENCE_S)
    os.close(ours)
    return bytes(written)
