"""State rows in host memory, for the CPU engines; and the checks of arguments of all engines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.base import Features, InputArray, Rows, Tensors
from engines.model.bundle import Bundle
from engines.model.description import StateSpec


@dataclass(frozen=True, slots=True)
class HostFeatures:
    """Features in host memory. They are copies, so they outlive the next `encode`."""

    array: NDArray[np.float32]  # (N, F)

    def __len__(self) -> int:
        """Return N, the number of inputs."""
        return len(self.array)

    def vector(self, pick: int) -> NDArray[np.float32]:
        """Copy one row of the array."""
        vector: NDArray[np.float32] = self.array[pick].copy()
        return vector


class StateTable:
    """Named tensors of shape (rows, *shape). Owned by one engine; returns and takes copies."""

    def __init__(self, specs: Sequence[StateSpec]) -> None:
        self.rows = 0
        self._specs = specs
        self._tensors = {s.name: np.zeros((0, *s.shape), s.numpy_dtype) for s in specs}

    def reserve(self, rows: int) -> None:
        """Grow to at least `rows` rows, contents kept."""
        if rows <= self.rows:
            return
        for spec in self._specs:
            grown = np.zeros((rows, *spec.shape), spec.numpy_dtype)
            grown[: self.rows] = self._tensors[spec.name]
            self._tensors[spec.name] = grown
        self.rows = rows

    def index(self, rows: Rows) -> NDArray[np.intp]:
        """Check that `rows` are in the table and distinct."""
        return check_rows(rows, self.rows)

    def gather(self, index: NDArray[np.intp]) -> dict[str, NDArray[np.generic]]:
        """Copy rows (M,) out: state name -> (M, *shape)."""
        return {name: tensor.take(index, axis=0) for name, tensor in self._tensors.items()}

    def scatter(self, index: NDArray[np.intp], tensors: Tensors) -> None:
        """Copy tensors (M, *shape) into rows (M,); neither is checked."""
        for name, tensor in self._tensors.items():
            tensor[index] = tensors[name]

    def write(self, rows: Rows, tensors: Tensors) -> None:
        """Copy tensors into rows; everything is checked before the first row changes."""
        index = self.index(rows)
        check_state(self._specs, tensors, len(index))
        self.scatter(index, tensors)

    def zero(self, rows: Rows) -> None:
        """Set rows to zeros."""
        index = self.index(rows)
        for tensor in self._tensors.values():
            tensor[index] = 0


def pick_features(features: Features, picks: Rows, count: int) -> NDArray[np.float32]:
    """Copy `picks` (M,) of host features, M being `count` and at least one: (M, F)."""
    if not isinstance(features, HostFeatures):
        raise TypeError(f"features must be this engine's own, not {type(features).__name__}")
    return features.array.take(check_picks(picks, count, len(features)), axis=0)  # (M, F)


def check_rows(rows: Rows, count: int) -> NDArray[np.intp]:
    """Raise `ValueError` unless all `rows` are below `count`, and distinct."""
    index = np.asarray(rows, np.intp)
    listed = index.tolist()
    if len(set(listed)) != len(listed):
        raise ValueError(f"rows must be distinct in one call, they are {listed}")
    if listed and not 0 <= min(listed) <= max(listed) < count:
        raise ValueError(f"rows must be in 0..{count - 1}, they are {listed}")
    return index


def check_picks(picks: Rows, count: int, encoded: int) -> NDArray[np.intp]:
    """Raise `ValueError` unless there are `count` picks, M >= 1, all of them below `encoded`."""
    index = np.asarray(picks, np.intp)
    if len(index) != count or not count:
        raise ValueError(f"a step takes one pick per row, M >= 1: {len(index)} for {count} rows")
    if not 0 <= index.min() <= index.max() < encoded:
        raise ValueError(f"picks must be in 0..{encoded - 1}, they are {index.tolist()}")
    return index


def check_state(specs: Sequence[StateSpec], tensors: Tensors, count: int) -> None:
    """Raise `ValueError` unless `tensors` match `specs`, (M, *shape) each, M being `count`."""
    if set(tensors) != {spec.name for spec in specs}:
        raise ValueError(f"state is {sorted(s.name for s in specs)}, not {sorted(tensors)}")
    for spec in specs:
        came, wanted = tensors[spec.name], (count, *spec.shape)
        if came.shape != wanted or came.dtype != spec.numpy_dtype:
            raise ValueError(
                f"state {spec.name} must be {spec.dtype} {wanted}, not {came.dtype} {came.shape}"
            )


def check_inputs(bundle: Bundle, inputs: InputArray) -> None:
    """Raise `ValueError` unless inputs are (N, *shape), N >= 1, as the bundle's encoder takes."""
    wanted = bundle.input.array
    if inputs.shape[1:] != wanted.shape or inputs.dtype != wanted.dtype or not len(inputs):
        shape = ", ".join(map(str, ("N", *wanted.shape)))
        raise ValueError(
            f"{bundle.id} wants {wanted.dtype} inputs ({shape}), N >= 1, "
            f"not {inputs.dtype} {inputs.shape}"
        )


def finite_rows(
    logits: NDArray[np.float32], state: Mapping[str, NDArray[np.generic]]
) -> NDArray[np.bool_]:
    """Return for each of M rows whether its logits (M, K) and its state are all finite: (M,)."""
    finite = np.asarray(np.isfinite(logits).all(axis=1))
    for tensor in state.values():
        finite &= np.isfinite(tensor).reshape(len(tensor), -1).all(axis=1)
    return finite
