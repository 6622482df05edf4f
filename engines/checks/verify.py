"""The check before an engine serves: against the oracle, and its batches against each other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine, Features, GpuPrecision, InputArray, Logits, Tensors
from engines.errors import VerificationError
from engines.model.bundle import Bundle
from engines.model.graph import holds_float16
from engines.reference import Array, reference_engine

Judge = Callable[[str, Array, Array], float]  # what is compared, found, wanted -> difference

ORACLE_INPUTS = 2  # the oracle takes 0.4 s for one of 224 x 224; streams differ in their order
STEPS = 6
ROWS = (5, 0, 3, 6)  # scattered, to find a table that goes by position
SPARE_ROWS = (1, 7, 2, 4)
BATCHES = (1, 2, 3, 5, 8)
INPUTS = max(BATCHES)
HINT = (
    "If rows depend on their batch, look in the graph for ReduceMean, ReduceSum, "
    "InstanceNormalization and Einsum: they round by where a row lies in memory. Export "
    "GlobalAveragePool, LayerNormalization or MatMul instead, or sum over a multiple of 4 values"
)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What an engine promises: `tolerance` of a score, and whether rows are bit-stable."""

    tolerance: float
    bit_stable: bool


FLOAT32_CPU = Tolerance(tolerance=1e-4, bit_stable=True)
MIXED_CPU = Tolerance(tolerance=1e-2, bit_stable=True)
FLOAT32_GPU = Tolerance(tolerance=1e-4, bit_stable=False)
MIXED_GPU = Tolerance(tolerance=1e-2, bit_stable=False)


@dataclass(frozen=True, slots=True)
class Verification:
    """The largest differences of an engine from the oracle."""

    bundle: str
    scores: float
    state: float  # relative to the largest value of a tensor, where that is above one


def promised(bundle: Bundle, gpu_precision: GpuPrecision | None = None) -> Tolerance:
    """What ONNX Runtime promises on the CPU, or TensorRT at a precision.

    Less where the encoder rounds to float16. On a GPU the batch size decides which kernels run:
    rows are near, not equal.
    """
    half = holds_float16(bundle.encoder) or gpu_precision == "float16"
    if gpu_precision is None:
        return MIXED_CPU if half else FLOAT32_CPU
    return MIXED_GPU if half else FLOAT32_GPU


def verify(
    engine: Engine, bundle: Bundle, *, precision: Tolerance = FLOAT32_CPU, seed: int = 0
) -> Verification:
    """Raise `VerificationError` unless `engine` answers like the oracle, at every batch size.

    Call it before rows are in use: it grows the table and leaves it zeroed.
    """
    engine.reserve(INPUTS)
    engine.zero(range(INPUTS))
    inputs = bundle.input.samples(INPUTS, np.random.default_rng(seed))  # (INPUTS, *shape)
    report = _compare_with_oracle(engine, bundle, inputs[:ORACLE_INPUTS], precision, seed)
    same = _bits_equal if precision.bit_stable else _scaled(precision.tolerance)
    _check_round_trip(engine, inputs, same)
    _check_batches_of_inputs(engine, inputs, same)
    _check_batches_of_rows(engine, inputs, same)
    engine.zero(range(INPUTS))
    return report


def _compare_with_oracle(
    engine: Engine, bundle: Bundle, inputs: InputArray, precision: Tolerance, seed: int
) -> Verification:
    """Step some rows on both, in batches that change from step to step."""
    rng = np.random.default_rng(seed)
    near = _scaled(precision.tolerance)
    oracle = reference_engine(bundle)
    oracle.reserve(INPUTS)
    theirs, ours = oracle.encode(inputs), engine.encode(inputs[:1])
    worst_score = worst_state = 0.0
    for step in range(STEPS):
        rows = rng.permutation(ROWS)[: 1 if step == 0 else rng.integers(2, len(ROWS) + 1)]
        picks = np.zeros(1, np.intp) if step == 0 else rng.integers(0, len(inputs), len(rows))
        if step == 1:
            ours = engine.encode(inputs)  # until here it was a batch of one
        what = f"{bundle.id}, step {step + 1}, batch {len(rows)}"
        logits, finite = engine.step(ours, picks, rows)
        wanted, wanted_finite = oracle.step(theirs, picks, rows)
        if finite.tolist() != wanted_finite.tolist():
            raise VerificationError(f"{what}: finite is {finite}, the oracle says {wanted_finite}")
        found_scores, wanted_scores = (
            to_scores(found, bundle.activation) for found in (logits, wanted)
        )
        worst_score = max(worst_score, near(f"{what}: scores", found_scores, wanted_scores))
        state = _compare_state(what, engine.read(ROWS), oracle.read(ROWS), near)
        worst_state = max(worst_state, state)
    return Verification(bundle.id, scores=worst_score, state=worst_state)


def _check_round_trip(engine: Engine, inputs: InputArray, same: Judge) -> None:
    """Rows that are read and written elsewhere must go on alike; zeroed rows start afresh."""
    features = engine.encode(inputs)
    picks = range(len(ROWS))
    engine.write(SPARE_ROWS, engine.read(ROWS))
    wanted, _ = engine.step(features, picks, ROWS)
    found, _ = engine.step(features, picks, SPARE_ROWS)
    same("logits after read and write", found, wanted)
    _compare_state("after read and write", engine.read(SPARE_ROWS), engine.read(ROWS), same)
    engine.zero(SPARE_ROWS)
    zeroed = engine.read(SPARE_ROWS)
    zeros = {name: np.zeros_like(tensor) for name, tensor in zeroed.items()}
    _compare_state("after zero", zeroed, zeros, same)


def _check_batches_of_inputs(engine: Engine, inputs: InputArray, same: Judge) -> None:
    """An input's features, as the head sees them, must not depend on the rest of its batch."""
    alone = [_look(engine, engine.encode(inputs[i : i + 1]), 0) for i in range(INPUTS)]
    for size in BATCHES[1:]:
        start = INPUTS - size  # so that an input is met at different places
        features = engine.encode(inputs[start:])
        for place in range(size):
            what = f"encode: input {place} of a batch of {size} against the same input alone:"
            _compare_answers(what, _look(engine, features, place), alone[start + place], same)


def _check_batches_of_rows(engine: Engine, inputs: InputArray, same: Judge) -> None:
    """A row's step must not depend on the rest of its batch."""
    features = engine.encode(inputs)
    rows = np.arange(INPUTS)
    engine.zero(rows)
    engine.step(features, rows, rows)
    engine.step(features, rows[::-1], rows)
    before = engine.read(rows)
    alone = [_advance(engine, features, rows[i : i + 1]) for i in rows]
    for size in range(2, INPUTS + 1):
        some = np.roll(rows, size)[:size]
        engine.write(rows, before)
        logits, state = _advance(engine, features, some)
        for place, row in enumerate(some):
            what = f"step: row {place} of a batch of {size} against the same row alone:"
            one = slice(place, place + 1)
            answer = logits[one], {name: tensor[one] for name, tensor in state.items()}
            _compare_answers(what, answer, alone[row], same)


def _look(engine: Engine, features: Features, pick: int) -> tuple[Logits, Tensors]:
    """Step a zeroed row by one input, alone."""
    engine.zero((0,))
    logits, _ = engine.step(features, (pick,), (0,))
    return logits, engine.read((0,))


def _advance(engine: Engine, features: Features, rows: Array) -> tuple[Logits, Tensors]:
    logits, _ = engine.step(features, rows, rows)
    return logits, engine.read(rows)


def _compare_answers(
    what: str, found: tuple[Logits, Tensors], wanted: tuple[Logits, Tensors], same: Judge
) -> None:
    same(f"{what} logits", found[0], wanted[0])
    _compare_state(what, found[1], wanted[1], same)


def _compare_state(what: str, found: Tensors, wanted: Tensors, judge: Judge) -> float:
    if set(found) != set(wanted):
        raise VerificationError(f"{what}: state is {sorted(found)}, wanted is {sorted(wanted)}")
    return max(
        (judge(f"{what} state {name}", found[name], wanted[name]) for name in wanted), default=0.0
    )


def _bits_equal(what: str, found: Array, wanted: Array) -> float:
    if found.shape == wanted.shape and found.tobytes() == wanted.tobytes():
        return 0.0
    apart = _difference(found, wanted)
    raise VerificationError(f"{what} differ by {apart:.1e}, they must be equal bit for bit. {HINT}")


def _scaled(tolerance: float) -> Judge:
    """Judge by difference relative to the largest wanted value, where that is above one."""

    def near(what: str, found: Array, wanted: Array) -> float:
        scale = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=1))
        difference = _difference(found, wanted) / scale
        grain = float(np.finfo(wanted.dtype).eps) if wanted.dtype.kind == "f" else 0.0
        allowed = max(tolerance, 2 * grain)  # float16 state cannot be nearer than its own grain
        if not difference <= allowed:
            raise VerificationError(f"{what} differ by {difference:.1e}, allowed is {allowed:.1e}")
        return difference

    return near


def _difference(found: Array, wanted: Array) -> float:
    """Return the largest difference; infinite where only one of the two is finite."""
    if found.shape != wanted.shape:
        return float("inf")
    finite = np.isfinite(wanted)
    if (np.isfinite(found) != finite).any():
        return float("inf")
    apart = np.abs(found[finite].astype(np.float64) - wanted[finite].astype(np.float64))
    return float(apart.max(initial=0.0))


def to_scores(logits: Logits, activation: Literal["softmax", "sigmoid"]) -> NDArray[np.float64]:
    """Turn logits (..., K) into scores, in float64. Rows that are not finite stay so."""
    raw = logits.astype(np.float64)
    with np.errstate(all="ignore"):
        if activation == "sigmoid":
            return 1 / (1 + np.exp(-raw))
        powers = np.exp(raw - raw.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
