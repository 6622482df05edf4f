"""What the product's own commands say of a run: `longtake replay` and `longtake audit`."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

WRONG = ("differing", "only_replayed", "only_published", "repeated", "not_compared")


class ProofError(Exception):
    """A command that should judge the run could not be run to its end."""


def replay_differences(arguments: Sequence[str]) -> int:
    """How many predictions are not what a replay from each partition's first offset gives."""
    counts = _told(["replay", *arguments, "--diff", "--json"])["diff"]["counts"]
    return sum(counts[kind] for kind in WRONG)


def audit_breaks(arguments: Sequence[str]) -> int:
    """How many breaks an audit finds."""
    return int(_told(["audit", *arguments, "--json"])["breaks"])


def _told(command: Sequence[str]) -> dict[str, Any]:
    """What a command prints; 1 is its way to say that something is wrong with the log."""
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", *command], capture_output=True, text=True, check=False
    )
    if ended.returncode not in (0, 1):
        raise ProofError(f"{command[0]} ended with {ended.returncode}: {ended.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(ended.stdout)
    return told
