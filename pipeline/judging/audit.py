"""Proves from the log alone that nothing is missing, repeated, altered or out of order.

Records in, report out: the changelogs first, then predictions, then dead letters. Records that a
worker committed after its manifest was read are not judged.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.errors import NothingToAuditError
from pipeline.judging.belonging import other_topics, replaced, rule_notes
from pipeline.judging.books import Books
from pipeline.judging.origins import FIRST_LIFE, Origin, check_origin, origin_of
from pipeline.judging.other_groups import OtherGroups
from pipeline.judging.trail import Finding, Trail, Wrong
from pipeline.records import OUTPUTS, Changelog, Destination, Fate, Record
from pipeline.wire.belongings.ownership import publisher_of
from pipeline.wire.changelog import Manifest
from pipeline.wire.dead_letters import DeadLetterSource


@dataclass(frozen=True, slots=True)
class FateTally:
    """The count of a fate in the ledger and in the log.

    `log_begins` is set if retention has deleted the life's beginning. Then a smaller count in the
    log is not a break.
    """

    ledger: int
    found: int
    log_begins: int | None

    @property
    def broken(self) -> bool:
        """Whether the two counts contradict each other."""
        return self.found > self.ledger or (self.log_begins is None and self.found < self.ledger)


@dataclass(frozen=True, slots=True)
class LifeReport:
    """One life of one partition. Only the newest has a ledger, and so offsets and tallies."""

    partition: int
    life: int
    newest: bool
    first_offset: int | None
    next_offset: int | None
    predicted: FateTally | None
    dead_lettered: FateTally | None
    streams: tuple[str, ...]
    predictions: int
    repeats: int
    ahead: int
    older: int
    breaks: int
    findings: tuple[Finding, ...]
    origin: Origin | None = None  # the growth with which the partition began


@dataclass(frozen=True, slots=True)
class OtherPublisher:
    """Another group, and how much of one kind it published into a topic of ours. Not judged."""

    group: str
    kind: Destination
    records: int


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result of an audit. `breaks` counts all; a life's findings describe its first hundred.

    `notes` are about rules that decided: they are no breaks.
    """

    lives: tuple[LifeReport, ...]
    others: tuple[OtherPublisher, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def breaks(self) -> int:
        """The number of breaks."""
        return sum(life.breaks for life in self.lives)

    def json(self) -> dict[str, Any]:
        """The report as JSON for scripts."""
        return {"breaks": self.breaks} | asdict(self)


class Audit:
    """One audit of one group: enter all predictions, then all dead letters, then call `report`.

    Records that name another group than `group` are only counted, those that name none are ours.
    `predictions_start` and `dead_letters_start` are the first offsets that those topics still
    hold, by partition. `names` are those of the topics that are read, by role; empty: those of the
    ledger. `repeats_allowed` is for `low_latency` delivery. Raises `CorruptStateError`, and
    `NothingToAuditError` if no partition has a manifest.
    """

    def __init__(
        self,
        changelogs: Mapping[int, Changelog],
        *,
        group: str,
        frames_topic: str,
        predictions_start: Mapping[int, int],
        dead_letters_start: Mapping[int, int],
        repeats_allowed: bool,
        names: Mapping[str, str],
    ) -> None:
        self._changelogs, self._names = changelogs, names
        self._books = {n: Books.read(changelog) for n, changelog in changelogs.items()}
        if all(books.manifest is None for books in self._books.values()):
            raise NothingToAuditError(
                "no partition has a manifest: no worker of this group has ever committed, or its"
                " changelog is lost. Is the --group right?"
            )
        self._group = group
        self._others = {kind: OtherGroups(group) for kind in OUTPUTS}
        self._unbegun: dict[int, int] = {}
        self._remains: Counter[int] = Counter()  # predictions by partition
        self._frames_topic = frames_topic.encode()
        self._predictions_start = predictions_start
        self._dead_letters_start = dead_letters_start
        self._repeats_allowed = repeats_allowed
        self._trails = {
            (n, life): self._trail(n, life)
            for n, books in self._books.items()
            for life in [1, *(begun.number for begun in books.lives)]
        }

    def _trail(self, number: int, life: int) -> Trail:
        manifest = self._books[number].manifest_of(life)
        came = life == FIRST_LIFE and origin_of(number, self._books[number]) is not None
        return Trail(
            number,
            life,
            judged=None if manifest is None else range(manifest.first_offset, manifest.next_offset),
            whole=not came and self._predictions_cut(number, life) is None,
            repeats_allowed=self._repeats_allowed,
        )

    def expect_no_predictions(self, number: int, before: int) -> None:
        """Find a lost changelog in any prediction below this offset that names the group.

        Call it first, for a partition that had no manifest when its predictions ended there.
        """
        self._unbegun[number] = before

    def enter_prediction(self, record: Record) -> None:
        """Enter the next record of the predictions topic, of any partition."""
        if self._others[Destination.PREDICTIONS].published(record):
            return
        if record.offset < self._unbegun.get(record.partition, 0):
            self._remains[record.partition] += publisher_of(record) == self._group
        life = self._books[record.partition].life_of_prediction(record.offset)
        self._trails[record.partition, life].enter_prediction(record)

    def enter_dead_letter(self, record: Record) -> None:
        """Enter the next dead letter. Ignores those whose source is another frames topic."""
        if self._others[Destination.DEAD_LETTERS].published(record):
            return
        source = DeadLetterSource.read(record)
        if source is None or source.topic != self._frames_topic:
            return
        number = source.partition
        if number not in self._books:
            return
        life = self._books[number].life_of_dead_letter(record.partition, record.offset)
        self._trails[number, life].enter_dead_letter(source.offset, record.key)

    def report(self) -> AuditReport:
        """Compare the ledgers with what was entered, and return the report."""
        books = self._books.items()
        for number, one in books:
            began = origin_of(number, one)
            cut = began is not None and self._predictions_start.get(began.source, 0) > 0
            check_origin(number, self._books, self._trails, cut=cut)
        manifests = {n: one.manifest for n, one in books if one.manifest is not None}
        others = tuple(
            OtherPublisher(group, kind, records)
            for kind, apart in self._others.items()
            for group, records in sorted(apart.counts.items())
        )
        lives = tuple(self._close(trail) for trail in self._trails.values())
        return AuditReport(lives, others, tuple(rule_notes(manifests)))

    def _close(self, trail: Trail) -> LifeReport:
        books = self._books[trail.partition]
        manifest = books.manifest_of(trail.life)
        predicted = dead_lettered = None
        if manifest is not None:
            identity = manifest.identity
            for sentence in other_topics(
                identity, self._changelogs[trail.partition].topic_ids, self._names
            ):
                trail.find(Wrong.TOPIC, sentence)
            predicted, dead_lettered = self._tallies(trail, manifest)
            why = replaced(identity, Destination.PREDICTIONS)
            _check(trail, Wrong.PREDICTED, "predictions", predicted, why)
            why = replaced(identity, Destination.DEAD_LETTERS)
            _check(trail, Wrong.DEAD_LETTERED, "dead letters", dead_lettered, why)
            books.check(trail, manifest)
        elif remains := self._remains[trail.partition]:
            trail.find(
                Wrong.LOST,
                f"{remains} predictions name this group, and the partition has no manifest: its"
                " changelog is lost",
            )
        return LifeReport(
            partition=trail.partition,
            life=trail.life,
            newest=trail.life == books.newest_life,
            first_offset=None if manifest is None else manifest.first_offset,
            next_offset=None if manifest is None else manifest.next_offset,
            predicted=predicted,
            dead_lettered=dead_lettered,
            streams=tuple(sorted(trail.streams)),
            predictions=trail.predictions,
            repeats=trail.repeats,
            ahead=trail.ahead,
            older=trail.older,
            breaks=trail.breaks,
            findings=tuple(trail.findings),
            origin=origin_of(trail.partition, books) if trail.life == FIRST_LIFE else None,
        )

    def _tallies(self, trail: Trail, manifest: Manifest) -> tuple[FateTally, FateTally]:
        books, fates = self._books[trail.partition], manifest.fates
        letters = fates.get(Fate.DEAD_LETTERED, 0) - manifest.letters_omitted
        cut = self._predictions_cut(trail.partition, trail.life)
        dead_cut = books.dead_letters_cut(trail.life, self._dead_letters_start)
        return (
            FateTally(fates.get(Fate.PREDICTED, 0), trail.predicted, cut),
            FateTally(letters, len(trail.dead_letters), dead_cut),
        )

    def _predictions_cut(self, number: int, life: int) -> int | None:
        start = self._predictions_start.get(number, 0)
        return self._books[number].predictions_cut(life, start)


def _check(trail: Trail, kind: Wrong, what: str, tally: FateTally, why: str) -> None:
    if tally.broken:
        trail.find(kind, f"the log holds {tally.found} {what}, the ledger says {tally.ledger}{why}")
