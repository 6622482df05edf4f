"""Computes the expected predictions a second time: from the design, not from the worker's code.

It shares with the worker the ONNX files, and `decode_picture` for pixels, because it tests the
logic and not libav. Everything else (parsing, the rules of time, memory, resets, scores,
chains) is implemented again in a simple way, one record after the other.
"""

import json
import math
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pipeline.errors import UndecodableFrameError
from pipeline.media.pictures import Fit, decode_picture

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


class Model:
    """A bundle's two graphs on ONNX Runtime, one frame at a time."""

    def __init__(self, bundle: Path) -> None:
        text = (bundle / "model.json").read_bytes()
        self.words: dict[str, Any] = json.loads(text)
        self.id = f"{self.words['name']}@{sha256(text).hexdigest()[:8]}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._encoder, self._head = (
            onnxruntime.InferenceSession(str(bundle / f"{part}.onnx"), options)
            for part in ("encoder", "head")
        )
        wanted = self.words["input"]
        self._fit = Fit(wanted["height"], wanted["width"], wanted["fit"])
        self.features = cache(self._features)  # cached: cameras repeat a few pictures

    def _features(self, content: bytes) -> Any:
        """Return the features (1, F), or None if the bytes are not a picture."""
        try:
            pixels = decode_picture(content, self._fit)
        except UndecodableFrameError:
            return None
        return self._encoder.run(["features"], {"frames": pixels[None]})[0]

    def step(self, features: Any, state: dict[str, Any]) -> tuple[list[float], dict[str, Any]]:
        """Return the logits (K,), and the state after the step."""
        specs = self.words["state"]
        feeds = {
            s["input"]: state.get(s["name"], np.zeros((1, *s["shape"]), s["dtype"])) for s in specs
        }
        outputs = ["logits", *(s["output"] for s in specs)]
        logits, *after = self._head.run(outputs, {"features": features, **feeds})
        return [float(x) for x in logits[0]], {
            s["name"]: tensor for s, tensor in zip(specs, after, strict=True)
        }


class Oracle:
    """Predicts the records of one partition, which are fed from its beginning, in order."""

    def __init__(self, model: Model, *, gap_reset_s: float, stream_ttl_s: float) -> None:
        self._model = model
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
        if new or memory is None:  # a stream begins with a frame that decodes
            if record.value is None:
                return "ended"
            if self._model.features(record.value) is None:
                return "dead_lettered"
            memory = self._streams[record.stream] = Memory()
        memory.record_ms = record.timestamp_ms
        if record.value is None:
            self._streams[record.stream] = Memory(record.timestamp_ms, owed="ended")
            return "ended"
        t = int((record.timestamp_ms if captured_ms is None else captured_ms) * 1000)
        given = captured_ms is not None
        refused, note = self._admit(memory, t, _whole(seq), _whole(epoch), given=given, new=new)
        return refused or self._predict(memory, record, t, _whole(seq), note)

    def _admit(
        self, m: Memory, t: int, seq: int | None, epoch: int | None, *, given: bool, new: bool
    ) -> tuple[str | None, str | None]:
        """Apply rules 1 to 4. Returns a fate, or None and the note."""
        reset = None
        if m.seen is None:
            reset = "new" if new else "ended"
        else:
            recent = abs(t - m.seen) <= RECENT_US
            if epoch is not None and epoch != m.epoch:
                if m.epoch is not None and epoch < m.epoch and recent:
                    return "late", None
                reset = "epoch"
            elif seq is not None and m.seq is not None and seq <= m.seq:
                if (t <= m.seen and recent) or (not given and m.seq - seq < 64):
                    return "duplicate", None
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
            return "sampled", None
        m.planned, m.due = t, t + period if fresh else max(m.due + period, t + period // 2)
        if reset in ("new", "ended") or (reset is not None and m.owed not in ("new", "ended")):
            m.owed = reset
        return None, note

    def _predict(self, m: Memory, record: Taken, t: int, seq: int | None, note: str | None) -> str:
        """Apply rules 5 and 6 and the model, and write the text."""
        features = self._model.features(record.value)
        if features is None:
            return "dead_lettered"
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
