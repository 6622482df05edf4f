"""Runs the product's own checks on a run: `longtake replay` and `longtake audit`."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

WRONG = ("differing", "only_replayed", "only_published", "not_compared")


class ProofError(Exception):
    """A command that checks the run failed."""


def replay_differences(arguments: Sequence[str], *, repeats_allowed: bool) -> int:
    """Count predictions that differ from a replay from each partition's first offset.

    A replay only counts repeats; whether their bytes are the same, the verdict has checked.
    """
    counts: dict[str, int] = _told(["replay", *arguments, "--diff", "--json"])["diff"]["counts"]
    return sum(counts[kind] for kind in WRONG) + (0 if repeats_allowed else counts["repeated"])


def audit_breaks(arguments: Sequence[str]) -> int:
    """Count the breaks that an audit finds."""
    return int(_told(["audit", *arguments, "--json"])["breaks"])


def _told(command: Sequence[str]) -> dict[str, Any]:
    """Return what a command prints. Exit code 1 means that something is wrong with the log."""
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", *command], capture_output=True, text=True, check=False
    )
    if ended.returncode not in (0, 1):
        raise ProofError(f"{command[0]} ended with {ended.returncode}: {ended.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(ended.stdout)
    return told
