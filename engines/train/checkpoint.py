"""The file from which a killed run goes on. It is replaced as a whole, never written in part.

A resumed run ends with the same weights as one that was not killed: all random numbers of step k
are drawn from (seed, k), so no generator has to be saved.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch
from pydantic import JsonValue

SCHEMA = 1  # of the file; one without a number is of the release before, and the same


class CheckpointError(Exception):
    """The checkpoint is of another run, or damaged. The message says what to do."""


_DAMAGES = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    UnpicklingError,
)


class Stateful(Protocol):
    """A network, an optimiser, or anything else whose state is a dict of tensors and numbers."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Set the state to one that `state_dict` returned."""


class TrainingCheckpoint:
    """The state of one run in the file `path`.

    `settings` are all that the weights depend on. A checkpoint with other settings is refused.
    """

    def __init__(self, path: Path, settings: Mapping[str, JsonValue]) -> None:
        self.path, self._settings = path, dict(settings)
        self._before_s, self._began_s = 0.0, time.process_time()

    @property
    def cpu_s(self) -> float:
        """Processor time of the run in seconds, summed over its processes."""
        return self._before_s + time.process_time() - self._began_s

    def restore(self, **parts: Stateful) -> int:
        """Set the parts to the last `save`, and return its step; 0 if there is no file.

        Raises `CheckpointError`.
        """
        try:
            # weights_only: tensors and plain values, no code
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
            schema = int(kept.get("schema", 0))
            settings, step, states = kept["settings"], int(kept["step"]), kept["parts"]
            before_s = float(kept["cpu_s"])
        except FileNotFoundError:
            return 0
        except _DAMAGES as exc:
            raise CheckpointError(f"{self.path} is damaged, delete it ({exc})") from exc
        if schema > SCHEMA:
            raise CheckpointError(
                f"{self.path} has schema {schema}, this release reads up to {SCHEMA}: go on with"
                " the newer longtake that wrote it, or delete it to begin anew"
            )
        if settings != self._settings:
            raise CheckpointError(
                f"{self.path} is of a run with {_differences(settings, self._settings)};"
                " name another folder, or delete this one to begin anew"
            )
        for name, part in parts.items():
            part.load_state_dict(states[name])
        self._before_s, self._began_s = before_s, time.process_time()
        return step

    def save(self, step: int, **parts: Stateful) -> None:
        """Replace the file by the state of the parts after `step` steps."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        states = {name: part.state_dict() for name, part in parts.items()}
        kept = {
            "schema": SCHEMA,
            "settings": self._settings,
            "step": step,
            "parts": states,
            "cpu_s": self.cpu_s,
        }
        partial = self.path.with_suffix(".partial")
        with partial.open("wb") as file:
            torch.save(kept, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    names = sorted({*theirs, *ours})
    return ", ".join(
        f"{name} {theirs.get(name)!r} (now {ours.get(name)!r})"
        for name in names
        if theirs.get(name) != ours.get(name)
    )
