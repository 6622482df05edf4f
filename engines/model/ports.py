"""A port of a graph: what its inputs and outputs are called, and what arrays they take."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph; `shape` is without the leading, dynamic N."""

    name: str
    dtype: "np.dtype[np.generic]"
    shape: tuple[int, ...]
