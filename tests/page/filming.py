"""Cameras and a worker for a wall: frames and their predictions, without a log."""

import threading
from collections.abc import Collection, Sequence

import numpy as np

from pipeline.clock import Clock
from pipeline.live.wall import Wall
from pipeline.records import Frame, Record, Reset
from pipeline.wire.predictions import NEW_CHAIN, MemoryFacts, PredictionWriter
from tests.pipeline.pictures import jpeg

LABELS = ("standing", "walking", "carrying", "<b>waving</b>")
PICTURES = [jpeg(96, 128, seed=seed) for seed in range(8)]
FRAMES_OF_A_LABEL = 20


class Filming:
    """Streams with a frame and its prediction at each step; each label is held for a while."""

    def __init__(self, wall: Wall, streams: Sequence[str], clock: Clock) -> None:
        self._wall, self._streams, self._clock = wall, streams, clock
        self._writer = PredictionWriter(labels=LABELS, activation="softmax", model="tiny@12345678")
        self._chains = dict.fromkeys(streams, NEW_CHAIN)
        self.taken = 0
        self.frozen: Collection[str] = ()  # streams whose cameras send nothing

    def step(self) -> None:
        """Film each stream once."""
        number, self.taken = self.taken, self.taken + 1
        at_ms = int(self._clock.time() * 1000)
        frames, predictions = [], []
        for place, stream in enumerate(self._streams):
            if stream in self.frozen:
                continue
            picture = PICTURES[(number + place) % len(PICTURES)]
            logits = np.zeros(len(LABELS), np.float32)
            logits[(number // FRAMES_OF_A_LABEL + place) % len(LABELS)] = 3
            reset = None if number else Reset.NEW
            answer = self._writer.write(
                Frame(
                    stream,
                    0,
                    number,
                    at_ms,
                    at_ms * 1000,
                    captured_given=True,
                    content=b"",
                    seq=number,
                ),
                logits,
                MemoryFacts(number, number * 100_000, None, reset, None),
                self._chains[stream],
            )
            self._chains[stream] = answer.chain
            frames.append(Record(0, number, at_ms, stream.encode(), picture))
            predictions.append(Record(0, number, at_ms, stream.encode(), answer.value))
        self._wall.take_frames(frames)
        self._wall.take_predictions(predictions)


class Running:
    """Films in the background until it is closed."""

    def __init__(self, filming: Filming, *, every_s: float) -> None:
        self._filming, self._every_s = filming, every_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.wait(self._every_s):
            self._filming.step()

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
