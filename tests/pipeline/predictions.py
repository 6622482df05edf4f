"""Predictions as a worker publishes them, for tests of their readers."""

import json

import numpy as np

from pipeline.records import Admission, Frame, Record, Reset
from pipeline.wire.predictions import NEW_CHAIN, MemoryFacts, PredictionWriter, link
from pipeline.wire.snapshots import Snapshot


class Tape:
    """The predictions of one partition, each linked to its stream's previous one."""

    def __init__(self, partition: int = 0) -> None:
        self.partition = partition
        self.records: list[Record] = []
        self._writer = PredictionWriter(
            labels=("walk", "run"), activation="softmax", model="tiny@12345678"
        )
        self.chains: dict[str, tuple[str, int]] = {}  # stream -> chain, frames

    def predict(self, offset: int, stream: str = "cam-1", reset: Reset | None = None) -> Record:
        """Publish the prediction of a frame. The first of a stream has reset `new`."""
        chain, frames = self.chains.get(stream, (NEW_CHAIN, 0))
        if stream not in self.chains:
            reset = Reset.NEW
        if reset is not None:
            frames = 0
            chain = NEW_CHAIN if reset.forgets_stream else chain
        frame = Frame(
            stream,
            self.partition,
            offset,
            1_000,
            1_000_000,
            captured_given=True,
            content=b"jpeg",
            seq=offset,
        )
        logits = np.array([1.0, offset / 100], np.float32)
        memory = MemoryFacts(frames, 0, None, reset, None)
        answer = self._writer.write(frame, logits, memory, chain)
        self.chains[stream] = answer.chain, frames + 1
        record = Record(self.partition, len(self.records), 1_000, stream.encode(), answer.value)
        self.records.append(record)
        return record

    def forget(self) -> None:
        """Forget all streams, as a new life does."""
        self.chains.clear()


def tape(offsets: range, partition: int = 0) -> Tape:
    """Return one stream's predictions of these frames."""
    made = Tape(partition)
    for offset in offsets:
        made.predict(offset)
    return made


def resealed(value: bytes) -> bytes:
    """Set the correct chain of changed bytes."""
    prev = json.loads(value)["prev"]
    body = value.rpartition(b',"prev":')[0]
    return body + f',"prev":"{prev}","chain":"{link(prev, body)}"}}'.encode()


def remembered(stream: str, chain: str = NEW_CHAIN, offset: int = 0) -> Snapshot:
    """Return a stream's snapshot."""
    return Snapshot(
        stream=stream,
        bundle="b" * 64,
        offset=offset,
        admission=Admission(0),
        stepped_us=None,
        age_us=0,
        frames=0,
        chain=chain,
        pending_reset=None,
        tensors={},
    )
