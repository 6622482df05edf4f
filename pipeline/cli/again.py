"""One run of `longtake replay`: partition by partition through engine, comparison and output."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

from rich.console import Console

from engines.base import Engine
from engines.load import load_engine
from engines.model.bundle import Bundle
from pipeline.broker.kafka.readers.replay_source import ReplaySource
from pipeline.cli import differences
from pipeline.cli.progress import RecordsRead
from pipeline.config import WorkerConfig
from pipeline.judging.compare import Comparison
from pipeline.media.kinds import decoder_for
from pipeline.offline.replay import Replay
from pipeline.records import Record
from pipeline.streams.served import ServedModel
from pipeline.wire.history import History, Stretch
from pipeline.wire.predictions import Prediction


class Again:
    """One run over a plan, with its engine and its decoders."""

    def __init__(
        self,
        settings: WorkerConfig,
        bundle: Bundle,
        source: ReplaySource,
        comparison: Comparison | None,
    ) -> None:
        self._settings = settings
        self._bundle = bundle
        self._source = source
        self.comparison = comparison
        self._engine: Engine = load_engine(
            settings.engine,
            bundle,
            threads=settings.engine_threads,
            gpu_precision=settings.gpu_precision,
        )
        self._pool = ThreadPoolExecutor(settings.decode_threads, "decode")
        self._seconds = 0.0
        self._stretches: list[dict[str, Any]] = []
        self._fates: Counter[str] = Counter()
        self.predictions = 0

    def run(
        self, plan: Sequence[tuple[History, Stretch]], out: BinaryIO | None, console: Console
    ) -> None:
        """Replay partition by partition."""
        began_s, before = time.monotonic(), 0
        total = sum(chosen.end - chosen.start for _, chosen in plan)
        shown = out is sys.stdout.buffer and sys.stdout.isatty()
        with RecordsRead(total, console, quiet=shown) as read:
            for history, chosen in plan:
                frames = _followed(
                    self._source.frames(history, chosen), read, before - chosen.start
                )
                self._write(self._predict(history, chosen, frames), out)
                before += chosen.end - chosen.start
                read.reach(before)
        self._seconds = time.monotonic() - began_s

    def _predict(
        self, history: History, chosen: Stretch, frames: Iterable[Record]
    ) -> Iterator[Prediction]:
        number = history.partition
        replay = Replay(
            self._settings,
            model=ServedModel.configured(
                self._settings,
                self._bundle,
                self._engine,
                decoder=decoder_for(self._bundle.input),
            ),
            decodes=self._pool,
            starts={number: chosen.start},
            skips={number: history.skips},
        )
        replayed = replay.run(frames)
        if self.comparison is not None:
            published, whole = self._source.published(history)
            replayed = self.comparison.follow(
                replayed,
                published,
                start=chosen.start,
                end=chosen.end,
                exact=chosen.exact,
                whole=whole,
            )
        yield from replayed
        self._fates.update(replay.partitions[number].fates)
        self._stretches.append(
            {"partition": number, "from": chosen.start, "to": chosen.end, "exact": chosen.exact}
        )

    def _write(self, predictions: Iterable[Prediction], out: BinaryIO | None) -> None:
        for prediction in predictions:
            self.predictions += 1
            if out is not None:
                out.write(prediction.value + b"\n")

    @property
    def records(self) -> int:
        """How many records have been gone over."""
        return self._fates.total()

    @property
    def facts(self) -> dict[str, Any]:
        """What was done, as `--json` has it."""
        facts: dict[str, Any] = {
            "seconds": round(self._seconds, 3),
            "partitions": self._stretches,
            "records": self.records,
            "fates": dict(self._fates),
            "predictions": self.predictions,
        }
        if self.comparison is not None:
            facts["diff"] = differences.as_json(self.comparison)
        return facts

    def close(self) -> None:
        """Let go of threads and engine."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._engine.close()


def _followed(frames: Iterable[Record], read: RecordsRead, shift: int) -> Iterator[Record]:
    for record in frames:
        read.reach(record.offset + shift + 1)
        yield record
