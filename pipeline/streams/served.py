"""The served model: everything that turns records into predictions, as one value."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from engines.base import Engine
from engines.model.bundle import Bundle
from pipeline.config import KEYFRAME_S, MAX_DECODERS, MAX_STREAMS, WorkerConfig
from pipeline.errors import MovedStreamError
from pipeline.events.event_settings import EventSettings
from pipeline.media.decoder import Decoder, EarlyRefusal, never_refused
from pipeline.media.video.lanes.decoder_limit import DecoderLimit
from pipeline.media.video.lanes.fitting import OpenFitting
from pipeline.media.video.lanes.unit_chain import ChainRules
from pipeline.records import BadRecord, Frame, Record, Reset
from pipeline.streams.admission import Rules
from pipeline.streams.batch import Batcher
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.streams.predictor import Predictor
from pipeline.streams.row_pool import RowPool
from pipeline.wire.frames import read_frame
from pipeline.wire.predictions import PredictionWriter


@dataclass(frozen=True, slots=True)
class SteppedBatch:
    """One batch that went through the engine: its records by partition, in offset order."""

    batch: Mapping[Partition, Sequence[Item]]
    resets: Sequence[Reset]  # the reasons of the resets in this batch

    @property
    def items(self) -> list[Item]:
        """All records of the batch."""
        return [item for items in self.batch.values() for item in items]


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One bundle on one engine, ready to step the records of any partitions. One owner thread.

    Worker, replay, run and the tests use this same value, so there is only one frame path. It holds
    the rules of time, the decoder, the predictor with its pool of engine rows, and the batcher. It
    holds no partition, log, thread or metric: its user owns these. To change the model, a user must
    release the partitions' rows and restore the partitions under the new one. `decoder` may be
    called from other threads. `chains` says how units of H.264 are decoded; None: this kind of
    input takes none. The code that made the engine closes it.
    """

    bundle: Bundle
    engine: Engine
    decoder: Decoder
    rules: Rules
    predictor: Predictor
    batcher: Batcher
    max_record_bytes: int
    chains: ChainRules | None

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        engine: Engine,
        *,
        decoder: Decoder,
        topic: str,
        gap_reset_s: float,
        stream_ttl_s: float,
        max_record_bytes: int,
        max_batch: int,
        max_streams: int = MAX_STREAMS,
        refused: EarlyRefusal = never_refused,
        open_fitting: OpenFitting | None = None,
        keyframe_s: float = KEYFRAME_S,
        max_decoders: int = MAX_DECODERS,
        events: EventSettings | None = None,
    ) -> Self:
        """Assemble the frame path. `topic` is the input topic's name, for dead letters.

        `gap_reset_s` applies where the bundle does not say which silence ends a memory. `refused`
        spares the decoder frames that it would refuse: it changes no fate. `open_fitting` opens the
        decoders of units of H.264; None: units are records like others. `events`: None for none.
        Raises `ConfigError` if these name a label that the bundle does not have.
        """
        rules = Rules.of(
            rate_hz=bundle.input.rate_hz,
            gap_reset_s=bundle.input.gap_after_s(gap_reset_s),
            stream_ttl_s=stream_ttl_s,
            max_streams=max_streams,
            keyframe_s=keyframe_s,
            refused=refused,
            timed=bundle.input.timed,
            events=None if events is None else events.rules(bundle.labels, bundle.id),
        )
        writer = PredictionWriter(
            labels=bundle.labels, activation=bundle.activation, model=bundle.id
        )
        predictor = Predictor(engine, writer, rules, topic=topic)
        chains = None
        if open_fitting is not None:
            limit = DecoderLimit(max_decoders)
            chains = ChainRules(open_fitting, open_fitting, limit, rules.keyframe_ms)
        return cls(
            bundle, engine, decoder, rules, predictor, Batcher(max_batch), max_record_bytes, chains
        )

    @classmethod
    def configured(
        cls,
        config: WorkerConfig,
        bundle: Bundle,
        engine: Engine,
        *,
        decoder: Decoder,
        refused: EarlyRefusal = never_refused,
        open_fitting: OpenFitting | None = None,
    ) -> Self:
        """Assemble the frame path of a group from the worker's settings."""
        return cls.of(
            bundle,
            engine,
            decoder=decoder,
            topic=config.frames_topic,
            gap_reset_s=config.gap_reset_s,
            stream_ttl_s=config.stream_ttl_s,
            max_record_bytes=config.max_frame_bytes,
            max_batch=config.max_batch,
            max_streams=config.max_streams,
            refused=refused,
            open_fitting=open_fitting,
            keyframe_s=config.keyframe_s,
            max_decoders=config.max_decoders,
            events=config.events,
        )

    def sandboxed_chains(self, open_fitting: OpenFitting | None) -> ChainRules | None:
        """Return `chains` whose suspected units are decoded by others; None: by the same."""
        if self.chains is None or open_fitting is None:
            return self.chains
        return replace(self.chains, sandboxed=open_fitting)

    @property
    def rows(self) -> RowPool:
        """The pool of engine rows that the streams of all partitions share."""
        return self.predictor.rows

    @property
    def input_bytes(self) -> int:
        """The size of one decoded input."""
        array = self.bundle.input.array
        return math.prod(array.shape) * array.dtype.itemsize

    def admit(self, partition: Partition, record: Record) -> Item | None:
        """Read and judge the partition's next record. None if its offset was read before."""
        frame = read_frame(record, max_bytes=self.max_record_bytes)
        if self.chains is None and isinstance(frame, Frame) and frame.unit:
            frame = replace(frame, unit=False, keyframe=False)
        moved = partition.moved_away(frame, self.rules)
        if moved is not None:
            frame = BadRecord(
                record, MovedStreamError.reason, str(MovedStreamError(moved.stream, moved.to))
            )
        return partition.admit(frame, self.rules)

    def step(self, partitions: Iterable[Partition]) -> SteppedBatch:
        """Take one batch of the records that are ready, run it, and enter it in its partitions.

        The batch is empty if no record is ready. Raises what the engine raises.
        """
        batch = self.batcher.take(partitions)
        resets = self.predictor.run([item for items in batch.values() for item in items])
        for partition, items in batch.items():
            partition.finish(items)
        return SteppedBatch(batch, resets)
