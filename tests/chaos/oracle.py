"""Computes the expected predictions a second time: from the design, not from the worker's code.

It shares with the worker the ONNX files, and for pixels `decode_picture` and `StrictDecoder`,
because it tests the logic and not libav. Everything else (parsing, the rules of time, memory,
resets, groups of units, scores, chains) is implemented again in a simple way, one record after the
other.
"""

import json
import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from tests.chaos.model import Model
from tests.chaos.unit_oracle import UnitGroups, is_unit

RECENT_US = 300_000_000
Place = tuple[int, int]  # partition, offset


@dataclass(frozen=True, slots=True)
class Taken:
    """A record that the log has acknowledged to a camera."""

    stream: str
    partition: int
    offset: int
    timestamp_ms: int
    value: bytes | None
    headers: Mapping[str, bytes]

    @property
    def unit(self) -> bool:
        """Whether it is a unit of H.264."""
        return self.value is not None and is_unit(self.value, self.headers)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rules 1 to 4 say: a fate, or None for a frame that is let through."""

    fate: str | None = None
    reset: str | None = None
    note: str | None = None


@dataclass(slots=True)
class Memory:
    """The memory of one stream. `seen` is None after an end of stream."""

    record_ms: int = 0
    seen: int | None = None
    planned: int = 0
    due: int = 0
    seq: int | None = None
    epoch: int | None = None
    owed: str | None = None  # the reset that the next prediction must report
    stepped: int | None = None
    age: int = 0
    frames: int = 0
    chain: str = "00000000"
    state: dict[str, Any] = field(default_factory=dict)


class Oracle:
    """Predicts the records of one partition, which are fed from its beginning, in order.

    Which frames were `skipped` for newer ones depended on the load, so it has to be told. Streams
    have a partition each for ever, so their names are enough.
    """

    def __init__(
        self,
        model: Model,
        *,
        gap_reset_s: float,
        stream_ttl_s: float,
        keyframe_s: float,
        skipped: Mapping[str, Sequence[range]] = MappingProxyType({}),
    ) -> None:
        self._model, self._skipped = model, skipped
        self._groups = UnitGroups(keyframe_s)
        rate = model.words["input"]["rate_hz"]
        self._period = None if rate is None else int(1e6 / rate)
        self._gap_us, self._ttl_ms = int(gap_reset_s * 1e6), int(stream_ttl_s * 1e3)
        self._streams: dict[str, Memory] = {}
        self._now_ms = 0
        self.fates: dict[Place, str] = {}
        self.predictions: dict[Place, bytes] = {}

    def feed(self, records: Iterable[Taken]) -> None:
        """Compute the fate of every record, and the bytes of the predictions."""
        for record in records:
            self.fates[record.partition, record.offset] = self._fate(record)

    def _fate(self, record: Taken) -> str:
        try:
            captured_ms = _number(record, "captured-at", r"\d{1,15}(\.\d{1,9})?")
            seq, epoch = _number(record, "seq", r"\d{1,18}"), _number(record, "epoch", r"\d{1,18}")
        except ValueError:
            return "dead_lettered"
        self._now_ms = max(self._now_ms, record.timestamp_ms)
        memory = self._streams.get(record.stream)
        new = memory is None or self._now_ms - memory.record_ms > self._ttl_ms
        shown: Any = None
        if new or memory is None:  # a stream begins with a frame that decodes
            if record.value is None:
                return "ended"
            self._groups.end(record.stream)
            shown = self._shown(record, _whole(seq), _whole(epoch))
            if isinstance(shown, str):
                return shown
            memory = self._streams[record.stream] = Memory()
        memory.record_ms = record.timestamp_ms
        if record.value is None:
            self._groups.end(record.stream)
            self._streams[record.stream] = Memory(record.timestamp_ms, owed="ended")
            return "ended"
        t = int((record.timestamp_ms if captured_ms is None else captured_ms) * 1000)
        given = captured_ms is not None
        ruling = self._admit(memory, t, _whole(seq), _whole(epoch), given=given, new=new)
        if not new:
            if ruling.reset is not None:
                self._groups.end(record.stream)
            if record.unit or ruling.fate is None:  # a later unit needs one with any fate
                shown = self._shown(record, _whole(seq), _whole(epoch))
        if ruling.fate is not None:
            return ruling.fate
        if not new and any(
            record.offset in offsets for offsets in self._skipped.get(record.stream, ())
        ):
            return "skipped"
        if isinstance(shown, str):
            return shown
        return self._predict(memory, record, t, _whole(seq), ruling.note, features=shown)

    def _shown(self, record: Taken, seq: int | None, epoch: int | None) -> Any:
        """Return the features of a frame, or the fate of one that has no picture."""
        content = record.value or b""
        if not record.unit:
            features = self._model.features(content)
        else:
            decoded = self._groups.decode(
                record.stream, content, self._now_ms, seq=seq, epoch=epoch
            )
            if isinstance(decoded, str):
                return decoded
            features = self._model.features_of(decoded)
        return "dead_lettered" if features is None else features

    def _admit(
        self, m: Memory, t: int, seq: int | None, epoch: int | None, *, given: bool, new: bool
    ) -> Ruling:
        """Apply rules 1 to 4."""
        reset = None
        if m.seen is None:
            reset = "new" if new else "ended"
        else:
            recent = abs(t - m.seen) <= RECENT_US
            if epoch is not None and epoch != m.epoch:
                if m.epoch is not None and epoch < m.epoch and recent:
                    return Ruling("late")
                reset = "epoch"
            elif seq is not None and m.seq is not None and seq <= m.seq:
                if (t <= m.seen and recent) or (not given and m.seq - seq < 64):
                    return Ruling("duplicate")
                if seq < m.seq and m.epoch is None:
                    reset = "epoch"
        note = "clock" if m.seen is not None and t <= m.seen else None
        period = self._period or 0
        early = self._period is not None and m.planned < t < m.due - period // 2
        sampled = reset is None and early
        fresh = m.seen is None or reset is not None or not 0 < t - m.planned <= self._gap_us
        m.seen = t
        m.epoch = m.epoch if epoch is None else epoch
        m.seq = seq if seq is not None or reset is not None else m.seq
        if sampled:
            return Ruling("sampled")
        m.planned, m.due = t, t + period if fresh else max(m.due + period, t + period // 2)
        if reset in ("new", "ended") or (reset is not None and m.owed not in ("new", "ended")):
            m.owed = reset
        return Ruling(reset=reset, note=note)

    def _predict(
        self, m: Memory, record: Taken, t: int, seq: int | None, note: str | None, *, features: Any
    ) -> str:
        """Apply rules 5 and 6 and the model, and write the text."""
        if m.owed in ("new", "ended"):
            m.stepped, m.chain = None, "00000000"
        gap = None if m.stepped is None else t - m.stepped
        reset = m.owed or ("gap" if gap is not None and gap > self._gap_us else None)
        if reset is not None:
            m.frames, m.age, m.state = 0, 0, {}
        logits, m.state = self._model.step(features, m.state)
        if not all(map(math.isfinite, logits)):
            raise AssertionError(f"{record.stream} offset {record.offset}: not finite")
        long = gap is not None and gap > 1.5 * (self._period or 330_000)
        words = f'"gap_s":{_seconds(gap) if long else "null"},"reset":{_quoted(reset)}'
        text = self._text(m, record, t, seq, logits, f'{words},"note":{_quoted(note)}')
        place = record.partition, record.offset
        prev, m.chain = m.chain, f"{zlib.crc32(m.chain.encode() + text):08x}"
        self.predictions[place] = text + f',"prev":"{prev}","chain":"{m.chain}"}}'.encode()
        m.age += max(0, gap) if gap is not None and m.frames else 0
        m.owed, m.stepped, m.frames = None, t, m.frames + 1
        return "predicted"

    def _text(
        self, m: Memory, record: Taken, t: int, seq: int | None, logits: list[float], words: str
    ) -> bytes:
        labels = self._model.words["labels"]
        if self._model.words["activation"] == "softmax":
            powers = [math.exp(x - max(logits)) for x in logits]
            scores = [power / math.fsum(powers) for power in powers]
        else:
            scores = [1 / (1 + math.exp(-x)) for x in logits]
        best = max(range(len(labels)), key=lambda i: scores[i])  # the first of equal scores
        said = ",".join(f"{_quoted(name)}:{s:.4f}" for name, s in zip(labels, scores, strict=True))
        return (
            f'{{"schema":1,"stream":"{record.stream}","seq":{"null" if seq is None else seq}'
            f',"captured_at":"{_iso(t)}","label":{_quoted(labels[best])}'
            f',"confidence":{scores[best]:.4f},"scores":{{{said}}}'
            f',"memory":{{"frames":{m.frames},"age_s":{_seconds(m.age)},{words}}}'
            f',"model":{_quoted(self._model.id)}'
            f',"source":{{"partition":{record.partition},"offset":{record.offset}}}'
        ).encode()


def _number(record: Taken, name: str, form: str) -> Decimal | None:
    raw = record.headers.get(name)
    if raw is None:
        return None
    if not re.fullmatch(form, raw.decode("ascii", "replace"), re.ASCII):
        raise ValueError(f"{name} is {raw!r}")
    return Decimal(raw.decode())


def _whole(number: Decimal | None) -> int | None:
    return None if number is None else int(number)


def _quoted(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)


def _seconds(us: int | None) -> str:
    return f"{(us or 0) / 1e6:.3f}"


def _iso(us: int) -> str:
    moment = datetime.fromtimestamp(us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{us // 1000 % 1000:03d}Z"
