"""The input of models that are trained on letters: text, or the bases of a sequence."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from engines.model.inputs import LettersInput
from engines.model.ports import Port


@dataclass(frozen=True, slots=True)
class Letters:
    """What records of letters a model was trained on: `length` bytes of text or bases each.

    `fit` says what happens to longer ones: `cut`, or `refuse`, which dead-letters them. A silence
    of `gap_reset_s` seconds ends a memory; None: no silence does.
    """

    kind: Literal["text", "bases"]
    length: int
    fit: Literal["cut", "refuse"] = "cut"
    gap_reset_s: float | None = None

    @property
    def spec(self) -> LettersInput:
        """The same as a bundle has it."""
        return LettersInput(
            kind=self.kind, length=self.length, fit=self.fit, gap_reset_s=self.gap_reset_s
        )

    @property
    def array(self) -> Port:
        """The input of the exported encoder."""
        return self.spec.array

    def normalise(self, frames: Tensor) -> Tensor:
        """Bytes uint8 (N, L) -> int32 (N, L). TensorRT casts uint8 to nothing but floats."""
        return frames.float().int()

    def describe(self) -> dict[str, JsonValue]:
        """Return the key `input` of `model.json`; `LettersInput` reads it."""
        return self.spec.model_dump()

    def samples(self, count: int, seed: int = 0) -> NDArray[np.uint8]:
        """Draw records (T, L) of random letters and lengths."""
        return self.spec.samples(count, np.random.default_rng(seed))
