"""The same damaged bytes always give the same pixels: otherwise replays would differ."""

import os
import subprocess
import sys

import pytest

COUNT = 4000


def looks(fill: str) -> list[str]:
    """Return digests from a process whose fresh memory is filled with one byte."""
    command = [sys.executable, "-m", "tests.damaged.digests", "1", str(COUNT)]
    environment = os.environ | {"MALLOC_PERTURB_": fill}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return ended.stdout.splitlines()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone fills fresh memory")
def test_a_damaged_picture_never_shows_what_was_in_memory_before() -> None:
    one, other = looks("1"), looks("170")
    assert len(one) == COUNT
    assert [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]] == []
