"""Turns a batch of records into predictions; no stream affects another one's predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from engines.base import Engine, Features, InputArray, Logits
from pipeline.errors import RecordError, UndecodableFrameError, UnkeyedFrameError
from pipeline.records import (
    TRACEPARENT,
    BadRecord,
    Destination,
    EndOfStream,
    Fate,
    Frame,
    Outgoing,
    Reset,
)
from pipeline.streams.admission import Rules
from pipeline.streams.batch import waves
from pipeline.streams.item import Item
from pipeline.streams.row_pool import RowPool
from pipeline.streams.stream import Stream
from pipeline.streams.stream_lanes import CHAIN_ENDS
from pipeline.wire.dead_letters import dead_letter
from pipeline.wire.predictions import MemoryFacts, PredictionWriter

NONFINITE = "nonfinite"


@dataclass(frozen=True, slots=True)
class FrameStep:
    """A frame in one step of the head: its index in the features, and the memory before it."""

    item: Item
    stream: Stream
    frame: Frame
    pick: int
    memory: MemoryFacts


class Predictor:
    """Runs records through one engine. The only place that steps it. One owner thread.

    Dead letters name `topic` as their source. Raises what the engine raises: after `DeviceError`
    the memory of every stream must be restored.
    """

    def __init__(
        self, engine: Engine, writer: PredictionWriter, rules: Rules, *, topic: str
    ) -> None:
        self.rows = RowPool(engine)
        self.features: Features | None = None  # of the newest batch that had frames
        self._engine = engine
        self._writer = writer
        self._rules = rules
        self._topic = topic

    def run(self, items: Sequence[Item]) -> list[Reset]:
        """Set the fate and the outgoing record of every item, and advance the streams' memory.

        `items` hold each stream's records in order, all decoded. Returns the reasons of all resets
        that happened.
        """
        resets: list[Reset] = []
        inputs: list[InputArray] = []
        for item in items:
            decoded = self._input(item)
            if decoded is not None:
                item.encode(len(inputs))
                inputs.append(decoded)
        if inputs:
            self.features = self._engine.encode(np.stack(inputs))  # (N, F)
        for wave in waves(items):
            stepping = []
            for item in wave:
                if item.pick is None:
                    self._settle(item)
                else:
                    stepping.append(self._begin(item, item.pick))
            if stepping and self.features is not None:
                self._step(self.features, stepping)
            resets += [
                s.memory.reset
                for s in stepping
                if s.memory.reset is not None and s.item.fate is Fate.PREDICTED
            ]
        return resets

    def _input(self, item: Item) -> InputArray | None:
        """Return the input (*shape) of a frame to be stepped; None for all other records."""
        if isinstance(item.record, BadRecord):
            bad = item.record
            item.dead_letter(
                partial(dead_letter, bad, topic=self._topic, reason=bad.reason, error=bad.error)
            )
        if item.refusal is not None:
            self._reject(item, item.refusal, "dead-lettered, its stream has not begun")
        if not item.steps:
            return None
        try:
            return item.decoded()
        except UnkeyedFrameError:
            item.leave_unkeyed()
            return None
        except UndecodableFrameError as exc:
            self._reject(item, exc, "dead-lettered, memory kept")
            return None

    def _settle(self, item: Item) -> None:
        """Finish a record that is not stepped."""
        stream, verdict = item.stream, item.verdict
        if stream is None or verdict is None:
            return  # it belongs to no stream: a bad record, or one of a stream without memory
        if isinstance(item.record, EndOfStream):
            stream.require_reset(Reset.ENDED)
        elif verdict.reset is not None:
            stream.require_reset(verdict.reset)
        stream.settle(verdict, item.record.offset)
        _follow_chain(stream, item)
        self._end_event(item, stream)

    def _begin(self, item: Item, pick: int) -> FrameStep:
        stream, verdict, frame = item.stream, item.verdict, item.record
        if stream is None or verdict is None or not isinstance(frame, Frame):
            raise AssertionError(f"offset {item.record.offset} is decoded but not a stream's frame")
        memory = stream.begin(frame, verdict, self._rules)
        stream.settle(verdict, frame.offset)
        _follow_chain(stream, item)
        stream.take_row(self.rows)
        return FrameStep(item, stream, frame, pick, memory)

    def _step(self, features: Features, wave: Sequence[FrameStep]) -> None:
        rows = [s.stream.row for s in wave if s.stream.row is not None]
        fresh = [
            s.stream.row for s in wave if s.memory.reset is not None and s.stream.row is not None
        ]
        if fresh:
            self._engine.zero(fresh)
        logits, finite = self._engine.step(features, [s.pick for s in wave], rows)  # (M, K), (M,)
        for index, s in enumerate(wave):
            if finite[index]:
                self._publish(s, logits[index])
            else:
                s.stream.require_reset(Reset.NONFINITE)
                self._end_event(s.item, s.stream)
                self._dead_letter(
                    s.item, NONFINITE, "the model's answer is not finite; its memory starts afresh"
                )

    def _publish(self, s: FrameStep, logits: Logits) -> None:
        answer = self._writer.write(s.frame, logits, s.memory, s.stream.chain)
        afresh = s.memory.reset is not None
        s.item.cause(s.stream.spot(s.frame, answer, s.memory, self._rules))
        held_us = s.stream.record_label(answer.label, s.frame.captured_us, afresh=afresh)
        s.stream.advance(s.frame, answer.chain)
        headers = () if s.frame.traceparent is None else ((TRACEPARENT, s.frame.traceparent),)
        outgoing = Outgoing(
            Destination.PREDICTIONS,
            s.frame.partition,
            s.stream.name.encode(),
            answer.value,
            headers,
        )
        s.item.predict(answer, outgoing, held_us=held_us)

    def _end_event(self, item: Item, stream: Stream) -> None:
        """End the open event of a stream whose memory is reset, at a record without prediction."""
        item.cause(stream.end_event(item.record.partition, stream.pending_reset, self._rules))

    def _reject(self, item: Item, why: RecordError, outcome: str) -> None:
        self._dead_letter(item, why.reason, f"{why}; {outcome}", keeps_content=why.keeps_content)

    def _dead_letter(
        self, item: Item, reason: str, error: str, *, keeps_content: bool = True
    ) -> None:
        frame = item.record
        if not isinstance(frame, Frame):
            raise AssertionError(f"offset {frame.offset} is no frame")
        item.dead_letter(partial(self._letter, frame, reason, error, keeps_content=keeps_content))

    def _letter(self, frame: Frame, reason: str, error: str, *, keeps_content: bool) -> Outgoing:
        error = f"stream {frame.stream} offset {frame.offset}: {error}"
        letter = dead_letter(frame, topic=self._topic, reason=reason, error=error)
        return letter if keeps_content else replace(letter, value=b"")


def _follow_chain(stream: Stream, item: Item) -> None:
    """Let the stream's keyframe follow a finished record."""
    ended = isinstance(item.record, EndOfStream)
    if ended or (item.verdict is not None and item.verdict.reset in CHAIN_ENDS):
        stream.begin_chain(None)
    if item.unit is not None:
        stream.follow_chain(item.unit)
