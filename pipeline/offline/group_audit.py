"""Audits a group on a Kafka: reads its whole log and enters it into an `Audit`."""

from collections.abc import Callable, Mapping
from contextlib import closing

from pipeline.broker.kafka.readers.span_reader import SpanReader
from pipeline.clock import Clock
from pipeline.connection import GroupSettings
from pipeline.judging.audit import Audit, AuditReport
from pipeline.offline.group_state import read_changelogs
from pipeline.offline.steps import StepsDone
from pipeline.records import Changelog, Record
from pipeline.wire.changelog import MANIFEST_KEY


def audit_group(
    settings: GroupSettings, *, repeats_allowed: bool, clock: Clock, progress: StepsDone
) -> AuditReport:
    """Read the manifests, then all predictions and dead letters of a group, and judge them.

    In this order everything that the manifests count is in the log when it is read, so workers may
    go on meanwhile. `repeats_allowed` is for `low_latency` delivery. `progress` is called with a
    topic and its offsets read. Raises what `Audit` raises, `BrokerUnreachableError`, `TopicError`,
    and `RestoreStalledError` when a topic cannot be read to its end.
    """
    topics = settings.topics
    changelogs = read_changelogs(settings, clock=clock)
    with closing(SpanReader(settings.connection, stall_s=settings.stall_s, clock=clock)) as reader:
        predictions, dead_letters = (
            reader.spans(topic, reader.partitions(topic))
            for topic in (topics.predictions, topics.dead_letters)
        )
        audit = Audit(
            changelogs,
            group=settings.group,
            frames_topic=topics.frames,
            predictions_start=_starts(predictions),
            dead_letters_start=_starts(dead_letters),
            repeats_allowed=repeats_allowed,
            names=topics.by_role,
        )
        for number in _unbegun(settings, changelogs, clock=clock):
            audit.expect_no_predictions(number, predictions[number].stop)
        _enter_all(reader, topics.predictions, predictions, audit.enter_prediction, progress)
        _enter_all(reader, topics.dead_letters, dead_letters, audit.enter_dead_letter, progress)
    return audit.report()


def _unbegun(
    settings: GroupSettings, changelogs: Mapping[int, Changelog], *, clock: Clock
) -> list[int]:
    """Return the partitions without a manifest, read anew: a worker may have begun one since."""
    absent = [n for n, one in changelogs.items() if MANIFEST_KEY not in one.records]
    if not absent:
        return []
    now = read_changelogs(settings, clock=clock)
    return [n for n in absent if MANIFEST_KEY not in now[n].records]


def _starts(spans: Mapping[int, range]) -> dict[int, int]:
    return {number: span.start for number, span in spans.items()}


def _enter_all(
    reader: SpanReader,
    topic: str,
    spans: Mapping[int, range],
    enter: Callable[[Record], None],
    progress: StepsDone,
) -> None:
    done, total = 0, sum(map(len, spans.values()))
    progress(topic, done, total)
    for records in reader.read(topic, spans):
        for record in records:
            enter(record)
        done += len(records)
        progress(topic, done, total)
