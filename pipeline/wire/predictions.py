"""Writes and reads predictions. The only place for the format of the predictions topic.

A prediction's value does not depend on when or where it was computed, so a replay writes the same
bytes.
"""

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from pipeline.records import NAME, NAME_WANTED, Frame, Reset
from pipeline.wire.frames import STREAM, STREAM_WANTED
from pipeline.wire.json_text import Fields, UnreadableError, read_object

PREDICTION_SCHEMA = 1
NEW_CHAIN = "00000000"
MOST_LABEL = 1 << 16  # characters
MOST_MODEL = 256
FROM_FILE = -1  # the partition in the output of `longtake run`, whose frames come from no log
CHAIN = re.compile(r"[0-9a-f]{8}")
CHAIN_WANTED = "8 hexadecimal digits"
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z", re.ASCII)
TIME_WANTED = "a time like 2026-11-23T14:26:00.123Z"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """The state of a stream's memory *before* a frame. Times in microseconds."""

    frames: int
    age_us: int
    gap_us: int | None
    reset: Reset | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The model's output for one frame: the bytes to publish, and the label with the best score.

    `label` is the label's index in the bundle's list, `confidence` its score before rounding, and
    `scores` are those of all labels.
    """

    value: bytes
    chain: str
    label: int
    confidence: float
    scores: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """One prediction as it was published. Seconds and scores are rounded, as written.

    `reset` may be a reason that a newer release added; such a reason never forgets the stream, see
    `Reset`. Fields that this release does not know are only in `value`.
    """

    value: bytes
    stream: str
    seq: int | None
    captured_at: str
    label: str
    confidence: float
    scores: Mapping[str, float]
    frames: int
    age_s: float
    gap_s: float | None
    reset: Reset | None
    note: str | None
    model: str
    partition: int  # of the frame; `FROM_FILE` if the frame came from no log
    offset: int  # of the frame
    prev: str
    chain: str

    @classmethod
    def read(cls, value: bytes | None) -> "Prediction":
        """Read the value of a record. Raises `UnreadableError` if it is not a prediction."""
        fields = Fields(read_object(value))
        fields.schema(PREDICTION_SCHEMA)
        memory, source = fields.inner("memory"), fields.inner("source")
        reset = memory.matching_or_none("reset", NAME, NAME_WANTED)
        prediction = cls(
            value=value or b"",
            stream=fields.matching("stream", STREAM, STREAM_WANTED),
            seq=fields.integer_or_none("seq"),
            captured_at=fields.matching("captured_at", TIME, TIME_WANTED),
            label=fields.text("label", MOST_LABEL),
            confidence=fields.number("confidence", 0, 1),
            scores=fields.numbers("scores", 0, 1),
            frames=memory.integer("frames"),
            age_s=memory.number("age_s"),
            gap_s=memory.number_or_none("gap_s"),
            reset=None if reset is None else Reset(reset),
            note=memory.matching_or_none("note", NAME, NAME_WANTED),
            model=fields.text("model", MOST_MODEL),
            partition=source.integer("partition", FROM_FILE, 2**31 - 1),
            offset=source.integer("offset"),
            prev=fields.matching("prev", CHAIN, CHAIN_WANTED),
            chain=fields.matching("chain", CHAIN, CHAIN_WANTED),
        )
        try:
            datetime.fromisoformat(prediction.captured_at)
        except ValueError as exc:
            raise UnreadableError(f"captured_at is {prediction.captured_at}: {exc}") from exc
        return prediction

    @property
    def intact(self) -> bool:
        """Whether `chain` is the checksum of `prev` and the bytes before it."""
        return sealed(self.value.rpartition(b',"prev":')[0], self.prev) == (self.value, self.chain)

    @property
    def captured_s(self) -> float:
        """When the frame was captured, in seconds since 1970."""
        return datetime.fromisoformat(self.captured_at).timestamp()


class PredictionWriter:
    """Writes the predictions of one bundle, chained per stream.

    `labels` are in bundle order, `activation` is `softmax` or `sigmoid`, `model` is the bundle id.
    """

    def __init__(self, *, labels: Sequence[str], activation: str, model: str) -> None:
        self._labels = [_text(label) for label in labels]
        self._pairs = ",".join(f"{label.replace('%', '%%')}:%.4f" for label in self._labels)
        self._softmax = activation == "softmax"
        self._model = _text(model)

    def write(
        self, frame: Frame, logits: NDArray[np.float32], memory: MemoryFacts, prev: str
    ) -> Answer:
        """Return the prediction for logits (K,), chained to `prev`."""
        found = self._scores(logits)
        best, scores = int(found.argmax()), found.tolist()
        body = (
            f'{{"schema":{PREDICTION_SCHEMA},"stream":"{frame.stream}","seq":{_number(frame.seq)}'
            f',"captured_at":"{timestamp(frame.captured_us)}","label":{self._labels[best]}'
            f',"confidence":{scores[best]:.4f},"scores":{{{self._pairs % (*scores,)}}}'
            f',"memory":{{"frames":{memory.frames},"age_s":{memory.age_us / 1e6:.3f}'
            f',"gap_s":{_seconds(memory.gap_us)},"reset":{_optional(memory.reset)}'
            f',"note":{_optional(memory.note)}}},"model":{self._model}'
            f',"source":{{"partition":{frame.partition},"offset":{frame.offset}}}'
        ).encode()
        value, chain = sealed(body, prev)
        return Answer(value, chain, best, scores[best], scores)

    def _scores(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Softmax or sigmoid in float64, frame by frame: rounding depends on no other frame."""
        x = logits.astype(np.float64)
        if self._softmax:
            powers: NDArray[np.float64] = np.exp(x - x.max())
            scores: NDArray[np.float64] = powers / powers.sum()
        else:
            scores = 0.5 * (1.0 + np.tanh(0.5 * x))
        return scores


def link(prev: str, body: bytes) -> str:
    """Return a prediction's chain: the CRC-32 of `prev` and the value up to `,"prev":`."""
    return f"{zlib.crc32(body, zlib.crc32(prev.encode())):08x}"


def sealed(body: bytes, prev: str) -> tuple[bytes, str]:
    """Return the whole value for a body up to `,"prev":`, and its chain."""
    chain = link(prev, body)
    return body + f',"prev":"{prev}","chain":"{chain}"}}'.encode(), chain


def timestamp(us: int) -> str:
    """Return microseconds since 1970 as ISO 8601 in UTC with milliseconds."""
    moment = EPOCH + timedelta(milliseconds=us // 1000)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)


def _seconds(us: int | None) -> str:
    return "null" if us is None else f"{us / 1e6:.3f}"


def _optional(value: str | None) -> str:
    return "null" if value is None else f'"{value}"'
