"""A model without a graph: its memory is the sum of the brightness of all pictures it has seen."""

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.base import EngineName, Features, InputArray, Logits, Rows, Tensors
from engines.model.bundle import Bundle
from engines.model.description import StateSpec
from engines.table import HostFeatures, StateTable, finite_rows, pick_features
from pipeline.errors import UndecodableFrameError
from tests.engines.bundles import SIDE, tiny

STATE = (StateSpec(name="sum", input="sum_in", output="sum_out", shape=(1,), dtype="float32"),)
BROKEN = 255  # a picture so bright gives an answer that is not finite


def adder_bundle(path: Path) -> Bundle:
    """A bundle whose state is one number. Its graphs are not those of the `Adder`."""
    return replace(tiny(path), labels=("bright", "dark"), state=STATE, digest="ad" * 32)


def sums(*values: float) -> dict[str, NDArray[np.generic]]:
    """State tensors of that many rows."""
    return {"sum": np.array(values, np.float32).reshape(-1, 1)}


class Adder:
    """An `Engine`: each step adds the picture's brightness to the row; logits are (sum, 0).

    It keeps what it was asked, in order: `zero` and `step` with their rows, `encode` with the
    brightness of each picture.
    """

    name: EngineName = "reference"
    facts = None

    def __init__(self) -> None:
        self._table = StateTable(STATE)
        self.asked: list[tuple[str, list[int]]] = []

    @property
    def rows(self) -> int:
        return self._table.rows

    def reserve(self, rows: int) -> None:
        self._table.reserve(rows)

    def encode(self, inputs: InputArray) -> HostFeatures:
        brightness = inputs[:, 0, 0, :1].astype(np.float32)  # (N, 1)
        self.asked.append(("encode", inputs[:, 0, 0, 0].tolist()))
        return HostFeatures(np.where(brightness == BROKEN, np.float32(np.nan), brightness))

    def step(self, features: Features, picks: Rows, rows: Rows) -> tuple[Logits, NDArray[np.bool_]]:
        index = self._table.index(rows)
        self.asked.append(("step", index.tolist()))
        before = self._table.gather(index)["sum"].astype(np.float32)  # (M, 1)
        state = {"sum": before + pick_features(features, picks, len(index))}
        self._table.scatter(index, state)
        logits = np.hstack([state["sum"], np.zeros_like(state["sum"])])  # (M, 2)
        return logits, finite_rows(logits, state)

    def read(self, rows: Rows) -> Tensors:
        return self._table.gather(self._table.index(rows))

    def write(self, rows: Rows, tensors: Tensors) -> None:
        self._table.write(rows, tensors)

    def zero(self, rows: Rows) -> None:
        self.asked.append(("zero", list(rows)))
        self._table.zero(rows)

    def close(self) -> None: ...

    def asked_to(self, what: str) -> list[list[int]]:
        """What each call of one kind was given."""
        return [given for kind, given in self.asked if kind == what]

    def sum_of(self, row: int | None) -> float:
        """The number in one row."""
        assert row is not None
        return float(self.read([row])["sum"][0, 0])


def picture(brightness: int) -> InputArray:
    return np.full((SIDE, SIDE, 3), brightness, np.uint8)


def decode_brightness(content: bytes) -> InputArray:
    """Decode a content of one byte, which is the brightness; nothing else is a picture."""
    if len(content) != 1:
        raise UndecodableFrameError(f"{len(content)} bytes are no brightness")
    return picture(content[0])


def decoded(content: bytes) -> Future[InputArray]:
    """What a decoder has left of a picture."""
    future = Future[InputArray]()
    try:
        future.set_result(decode_brightness(content))
    except UndecodableFrameError as exc:
        future.set_exception(exc)
    return future
