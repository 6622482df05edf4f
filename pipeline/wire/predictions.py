"""Writes predictions. The only place for the format of the predictions topic.

Nothing in a prediction's value depends on when or where it was computed, so a replay writes the
same bytes.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from pipeline.records import (
    Frame,
    Reset,
)

PREDICTION_SCHEMA = 1
NEW_CHAIN = "00000000"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """What the model remembered of the stream *before* a frame. Times in microseconds."""

    frames: int
    age_us: int
    gap_us: int | None
    reset: Reset | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said of one frame: as its readers get it, and the best label by itself.

    `label` is its place in the bundle's list, `confidence` its score before it is rounded.
    """

    value: bytes
    chain: str
    label: int
    confidence: float


class PredictionWriter:
    """Writes the predictions of one bundle, chained per stream.

    `labels` in bundle order; `activation` is `softmax` or `sigmoid`; `model` names the bundle.
    """

    def __init__(self, *, labels: Sequence[str], activation: str, model: str) -> None:
        self._labels = [_text(label) for label in labels]
        self._softmax = activation == "softmax"
        self._model = _text(model)

    def write(
        self, frame: Frame, logits: NDArray[np.float32], memory: MemoryFacts, prev: str
    ) -> Answer:
        """Write one prediction from logits (K,)."""
        scores = self._scores(logits)
        best = int(np.argmax(scores))
        pairs = ",".join(
            f"{label}:{score:.4f}" for label, score in zip(self._labels, scores, strict=True)
        )
        body = (
            f'{{"schema":{PREDICTION_SCHEMA},"stream":"{frame.stream}","seq":{_number(frame.seq)}'
            f',"captured_at":"{timestamp(frame.captured_us)}","label":{self._labels[best]}'
            f',"confidence":{scores[best]:.4f},"scores":{{{pairs}}}'
            f',"memory":{{"frames":{memory.frames},"age_s":{memory.age_us / 1e6:.3f}'
            f',"gap_s":{_seconds(memory.gap_us)},"reset":{_optional(memory.reset)}'
            f',"note":{_optional(memory.note)}}},"model":{self._model}'
            f',"source":{{"partition":{frame.partition},"offset":{frame.offset}}}'
        ).encode()
        chain = link(prev, body)
        value = body + f',"prev":"{prev}","chain":"{chain}"}}'.encode()
        return Answer(value, chain, best, scores[best])

    def _scores(self, logits: NDArray[np.float32]) -> list[float]:
        """Softmax or sigmoid in float64, one line at a time: no row meets another's rounding."""
        x = logits.astype(np.float64)
        if self._softmax:
            powers = np.exp(x - x.max())
            return list((powers / powers.sum()).tolist())
        return list((0.5 * (1.0 + np.tanh(0.5 * x))).tolist())


def link(prev: str, body: bytes) -> str:
    """Chain a prediction to the one before: CRC-32 over `prev` and the value up to `,"prev":`."""
    return f"{zlib.crc32(body, zlib.crc32(prev.encode())):08x}"


def timestamp(us: int) -> str:
    """Write microseconds since 1970 as ISO 8601 with milliseconds, UTC."""
    moment = _EPOCH + timedelta(milliseconds=us // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{us // 1000 % 1000:03d}Z"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)


def _seconds(us: int | None) -> str:
    return "null" if us is None else f"{us / 1e6:.3f}"


def _optional(value: str | None) -> str:
    return "null" if value is None else f'"{value}"'
