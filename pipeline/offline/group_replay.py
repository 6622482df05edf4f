"""Replays a group on a Kafka: reads its frames again, predicts them, and compares if asked to."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from engines.base import Engine
from engines.load import load_engine
from engines.model.bundle import Bundle
from engines.model.verdicts import Verdicts
from pipeline.broker.kafka.readers.replay_source import ReplaySource
from pipeline.clock import Clock
from pipeline.config import Delivery, WorkerConfig
from pipeline.judging.belonging import other_rules, other_topics, rule_notes
from pipeline.judging.compare import Comparison
from pipeline.judging.other_groups import OtherGroups
from pipeline.media.kinds import decoder_for, open_fitting_for
from pipeline.offline.overlay.log_film import LogFilm
from pipeline.offline.replay import Replay
from pipeline.offline.steps import StepsDone
from pipeline.records import Record
from pipeline.streams.served import ServedModel
from pipeline.wire.history import History, Stretch, stretch
from pipeline.wire.predictions import Prediction


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """Which stretch of each partition is replayed by which bundle, and whether it is compared."""

    bundle: Bundle
    stretches: tuple[tuple[History, Stretch], ...]
    compared: bool
    belonging: tuple[str, ...] = ()  # how topics and rules differ from the group's, in words

    @property
    def same_bundle(self) -> bool:
        """Whether the group ran this bundle, too."""
        return not self._foreign

    @property
    def notes(self) -> list[str]:
        """What a reader of the results must know: another bundle, other rules, a late beginning."""
        notes = [
            f"the group runs bundle {digest[:8]}, this is {self.bundle.id}: another bundle"
            for digest in self._foreign
        ]
        notes += self.belonging
        return notes + [note for _, chosen in self.stretches for note in chosen.notes]

    @property
    def records(self) -> int:
        """How many records there are to read, at most: offsets have gaps."""
        return sum(chosen.end - chosen.start for _, chosen in self.stretches)

    @property
    def _foreign(self) -> list[str]:
        named = {h.manifest.bundle for h, _ in self.stretches if h.manifest.bundle}
        return sorted(named - {self.bundle.digest})


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay has done. `comparison` is None where nothing was compared.

    `others` counts the predictions of other groups in the topic, which were not compared.
    """

    seconds: float
    stretches: tuple[tuple[int, Stretch], ...]  # partition and what was replayed of it
    fates: Mapping[str, int]
    predictions: int
    comparison: Comparison | None
    others: Mapping[str, int]

    @property
    def records(self) -> int:
        """How many records were read."""
        return sum(self.fates.values())

    def json(self) -> dict[str, Any]:
        """The report as scripts read it."""
        facts: dict[str, Any] = {
            "seconds": round(self.seconds, 3),
            "partitions": [
                {"partition": number, "from": of.start, "to": of.end, "exact": of.exact}
                for number, of in self.stretches
            ],
            "records": self.records,
            "fates": dict(self.fates),
            "predictions": self.predictions,
        }
        if self.comparison is not None:
            facts["diff"] = comparison_json(self.comparison)
            facts["other_groups"] = dict(self.others)
        return facts


def plan_replay(
    source: ReplaySource,
    bundle: Bundle,
    *,
    partitions: Sequence[int],
    first: int | None,
    last: int | None,
    compared: bool,
    settings: WorkerConfig,
) -> ReplayPlan:
    """Choose what to replay: of these partitions (none named: of all) the records [first, last).

    None stands for where the group began, and for what it has finished. What it has not finished
    cannot be compared. `settings` are those of the replay, to be compared with the group's. Raises
    what `ReplaySource.histories` raises.
    """
    chosen, belonging = [], list[str]()
    for history in source.histories(partitions):
        belonging += _belonging(history, settings)
        finished = history.manifest.next_offset
        end = min(last, finished) if compared and last is not None else last
        chosen.append((history, stretch(history, first=first, last=end)))
    return ReplayPlan(bundle, tuple(chosen), compared, tuple(belonging))


def _belonging(history: History, settings: WorkerConfig) -> Iterator[str]:
    """Yield how topics and rules of a replay differ from those of the group's workers."""
    place, manifest = f"partition {history.partition}", history.manifest
    names = settings.topics.by_role
    for sentence in other_topics(manifest.identity, history.topic_ids, names):
        yield f"{place}: {sentence}"
    differing = other_rules(manifest, settings.rules)
    if differing:
        yield (
            f"{place}: the group decided with {', '.join(differing)}: differences are expected."
            " Give the workers' own --config"
        )
    yield from rule_notes({history.partition: manifest})


class GroupReplay:
    """One run over a plan, with an engine and decoders of its own. One owner thread.

    Of `settings` count the engine, sizes, rules of time and delivery: they are to be those of the
    group's workers.
    """

    def __init__(
        self, settings: WorkerConfig, plan: ReplayPlan, source: ReplaySource, *, clock: Clock
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._source = source
        self._clock = clock
        repeats = settings.delivery is Delivery.LOW_LATENCY
        self._comparison = Comparison(plan.same_bundle, repeats=repeats) if plan.compared else None
        self._engine: Engine = load_engine(
            settings.engine,
            plan.bundle,
            threads=settings.engine_threads,
            verdicts=Verdicts.of(os.environ),
            gpu_precision=settings.gpu_precision,
            plans=settings.plans,
        )
        self._pool = ThreadPoolExecutor(settings.decode_threads, "decode")
        self._seconds = 0.0
        self._stretches: list[tuple[int, Stretch]] = []
        self._fates: Counter[str] = Counter()
        self._predictions = 0
        self._others = OtherGroups(settings.group)

    def run(self, progress: StepsDone, film: LogFilm | None = None) -> Iterator[Prediction]:
        """Predict partition by partition, each in offset order. `progress` counts records.

        The frames of one stream are drawn into the film, if there is one. Raises what the engine
        raises, and `RestoreStalledError` when the log cannot be read.
        """
        began_s, before = self._clock.monotonic(), 0
        total = self._plan.records
        for history, chosen in self._plan.stretches:
            frames = _followed(
                self._source.frames(history, chosen), progress, before - chosen.start, total
            )
            if film is not None:
                frames = film.watch(frames)
            for prediction in self._predict(history, chosen, frames):
                self._predictions += 1
                if film is not None:
                    film.show(prediction)
                yield prediction
            if film is not None:
                film.end()
            before += chosen.end - chosen.start
            progress("records", before, total)
        self._seconds = self._clock.monotonic() - began_s

    def _predict(
        self, history: History, chosen: Stretch, frames: Iterable[Record]
    ) -> Iterator[Prediction]:
        number = history.partition
        decoder = decoder_for(
            self._plan.bundle.input, max_frame_pixels=self._settings.max_frame_pixels
        )
        replay = Replay(
            self._settings,
            model=ServedModel.configured(
                self._settings,
                self._plan.bundle,
                self._engine,
                decoder=decoder,
                open_fitting=open_fitting_for(
                    self._plan.bundle.input, max_frame_pixels=self._settings.max_frame_pixels
                ),
            ),
            decodes=self._pool,
            starts={number: chosen.start},
            skips={number: history.skips},
            moved={number: history.moved},
        )
        replayed = replay.run(frames)
        if self._comparison is not None:
            published, whole = self._source.published(history)
            replayed = self._comparison.follow(
                replayed,
                self._others.left_out(published),
                start=chosen.start,
                end=chosen.end,
                exact=chosen.exact,
                whole=whole,
            )
        yield from replayed
        self._fates.update(replay.partitions[number].fates)
        self._stretches.append((number, chosen))

    def report(self) -> ReplayReport:
        """What was done; complete once `run` has ended."""
        return ReplayReport(
            seconds=self._seconds,
            stretches=tuple(self._stretches),
            fates=dict(self._fates),
            predictions=self._predictions,
            comparison=self._comparison,
            others=dict(self._others.counts),
        )

    def close(self) -> None:
        """Close the engine and the decoders."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._engine.close()


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Every count and the first difference of each stream, as scripts read it."""
    counts = asdict(comparison.counts)
    scores, agree = counts.pop("scores"), counts.pop("labels_agree")
    difference = counts.pop("score_difference")
    return {
        "agrees": comparison.agrees,
        "same_bundle": comparison.same_bundle,
        "counts": counts,
        "labels_agree_percent": _percent(agree, comparison.counts.compared),
        "mean_score_difference": round(difference / scores, 6) if scores else None,
        "first_differences": [asdict(difference) for difference in comparison.differences],
    }


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None


def _followed(
    frames: Iterable[Record], progress: StepsDone, shift: int, total: int
) -> Iterator[Record]:
    for record in frames:
        progress("records", record.offset + shift + 1, total)
        yield record
