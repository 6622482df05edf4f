"""Lets a worker publish only into topics of its group: claims them, and refuses those of others.

Readers, chains and audits take all that a predictions topic holds for the work of one group.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future

from pipeline.broker.contract import Broker, ChangelogReader
from pipeline.broker.owners import Owners
from pipeline.clock import Clock
from pipeline.config import Delivery, WorkerConfig
from pipeline.delivery.foreign_output import NAMELESS, refusal
from pipeline.errors import BrokerUnavailableError, NotPermittedError
from pipeline.records import Changelog, Destination, Record
from pipeline.text.printable import printable
from pipeline.wire.belongings.ownership import publisher_of
from pipeline.wire.changelog import MANIFEST_KEY, snapshot_key
from pipeline.wire.events.event import Event
from pipeline.wire.json_text import UnreadableError
from pipeline.wire.predictions import NEW_CHAIN, Prediction
from pipeline.wire.snapshots import Snapshot

log = logging.getLogger(__name__)

CHECK_S = 600.0
EXTEND_S = 6 * 3600.0  # a small part of the time after which a log forgets claims


class Ownership:
    """The output topics of one worker's group. `read` runs on the executor `reads`, as all else.

    `partitions` is the number of partitions of frames. One owner thread.
    """

    def __init__(
        self,
        config: WorkerConfig,
        broker: Broker,
        reader: ChangelogReader,
        partitions: int,
        *,
        reads: Executor,
        clock: Clock,
    ) -> None:
        self._reader, self._owners = reader, broker.owners()
        self._topics, self._group = broker.topics, config.group
        self._partitions = range(partitions)
        self._publishes_ahead = config.delivery is Delivery.LOW_LATENCY  # of what is remembered
        self._reads, self._clock = reads, clock
        self._checked_s: float | None = None  # when a look at the claims began
        self._ours_s: float | None = None  # when all outputs were last seen to be ours
        self._extended_s: float | None = None  # never by this worker
        self._warned = False
        self._check: Future[None] | None = None

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        """Read changelogs, see `ChangelogReader`, for the restore of these partitions.

        Raises `ForeignOutputError` if the partitions may not be published into. Streams stand still
        meanwhile, so what was seen CHECK_S ago or less is not looked up again.
        """
        changelogs = self._reader.read(partitions)
        if self._ours_s is not None and self._clock.monotonic() - self._ours_s < CHECK_S:
            return changelogs
        try:
            self._require(changelogs)
        except NotPermittedError as exc:
            self._go_on_unchecked(exc)
        return changelogs

    def committed(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """See `OwnChangelogs`."""
        return self._reader.committed(partitions)

    def newest(
        self, kind: Destination, partitions: Sequence[int], *, most: int = 1
    ) -> Sequence[Record]:
        """See `OwnChangelogs`. None if a user of an earlier release may not read what it writes."""
        try:
            return self._reader.newest(kind, partitions, most=most)
        except NotPermittedError as exc:
            self._go_on_unchecked(exc)
            return ()

    def look(self) -> None:
        """Look at the start and from time to time, and extend our claims.

        Raises `ForeignOutputError`.
        """
        if self._check is not None and self._check.done():
            check, self._check = self._check, None
            try:
                check.result()
            except BrokerUnavailableError:
                return  # others say so; the next check is soon enough
            except NotPermittedError as exc:
                self._go_on_unchecked(exc)
        now_s, checked_s = self._clock.monotonic(), self._checked_s
        if self._check is None and (checked_s is None or now_s - checked_s >= CHECK_S):
            self._checked_s = now_s
            self._check = self._reads.submit(
                self._look_first if checked_s is None else self._look_again
            )

    def close(self) -> None:
        """Close the connections."""
        self._owners.close()

    def _go_on_unchecked(self, exc: NotPermittedError) -> None:
        """A user of an earlier release has no privileges for claims; its work must go on."""
        if not self._warned:
            self._warned = True
            log.warning(
                "whether %s belong to another group is not checked: %s; `longtake topics check"
                " --group %s --as worker` lists what is not permitted",
                " and ".join(self._topics.of(kind) for kind in self._topics.outputs),
                exc,
                self._group,
            )

    def _require(self, changelogs: Mapping[int, Changelog]) -> None:
        owners = self._owners.read()
        self._refuse_foreign(owners)
        unclaimed = [kind for kind in self._topics.outputs if owners[kind] is None]
        if unclaimed:
            self._refuse_published(unclaimed, changelogs)
            self._claim(owners)
        if Destination.PREDICTIONS not in unclaimed:
            self._warn_of_intruders(sorted(changelogs))
        self._ours_s = self._clock.monotonic()

    def _look_first(self) -> None:
        """Look while the group still lets us join; what is claimed by none waits for a restore."""
        owners = self._owners.read()
        self._refuse_foreign(owners)
        if None not in owners.values():
            self._warn_of_intruders(self._partitions)
            self._ours_s = self._clock.monotonic()

    def _look_again(self) -> None:
        owners = self._owners.read()
        self._refuse_foreign(owners)
        now_s, since_s = self._clock.monotonic(), self._extended_s
        if None in owners.values() or since_s is None or now_s - since_s >= EXTEND_S:
            self._claim(owners)
        self._warn_of_intruders(self._partitions)
        self._ours_s = now_s

    def _claim(self, seen: Owners) -> None:
        self._refuse_foreign(self._owners.claim(self._group, seen))
        self._extended_s = self._clock.monotonic()
        for kind, owner in seen.items():
            if owner is None:
                log.info(
                    "topic %s belongs to group %s from now on", self._topics.of(kind), self._group
                )

    def _refuse_foreign(self, owners: Owners) -> None:
        foreign = {kind: one for kind, one in owners.items() if one not in (None, self._group)}
        if foreign:
            raise refusal(self._topics, self._group, foreign)

    def _refuse_published(
        self, kinds: Sequence[Destination], changelogs: Mapping[int, Changelog]
    ) -> None:
        """Refuse topics without a claim in which another group has published last.

        An earlier release claims nothing and names no group. A group that has worked before goes
        on where such records are, because they can be its own; one that begins does not, because
        nobody knows whose they are.
        """
        for kind in kinds:
            newest = self._reader.newest(kind, self._partitions)
            named = [one for one in map(publisher_of, newest) if one is not None]
            foreign = next((one for one in named if one != self._group), None)
            if foreign is not None:
                raise refusal(self._topics, self._group, {kind: foreign})
            nameless = any(publisher_of(one) is None and _is_output(kind, one) for one in newest)
            if nameless and not self._has_worked(changelogs):
                raise refusal(self._topics, self._group, {kind: NAMELESS})
            if kind is Destination.PREDICTIONS:
                self._warn_of_strangers(newest, changelogs)

    def _has_worked(self, known: Mapping[int, Changelog]) -> bool:
        if _manifest_in(known) or self._reader.committed(self._partitions):
            return True
        others = [number for number in self._partitions if number not in known]
        return bool(others) and _manifest_in(self._reader.read(others))

    def _warn_of_strangers(
        self, newest: Sequence[Record], changelogs: Mapping[int, Changelog]
    ) -> None:
        for record in newest:
            known = changelogs.get(record.partition)
            if (
                known is not None
                and publisher_of(record) is None
                and not _can_be_of(known, record, ahead=self._publishes_ahead)
            ):
                log.warning(
                    "partition %d of topic %s ends with a prediction that names no group, and that"
                    " is not the newest of its stream in the memory of group %s: an earlier release"
                    " published it for another group, which has to have topics of its own",
                    record.partition,
                    self._topics.predictions,
                    self._group,
                )

    def _warn_of_intruders(self, partitions: Sequence[int]) -> None:
        for record in self._reader.newest(Destination.PREDICTIONS, partitions):
            publisher = publisher_of(record)
            if publisher is not None and publisher != self._group:
                log.warning(
                    "partition %d of topic %s ends with a prediction of group %s, and the topic"
                    " belongs to group %s: %s published before the topic was taken over, or it"
                    " still does; readers can tell the two by the header `group`",
                    record.partition,
                    self._topics.predictions,
                    printable(publisher),
                    self._group,
                    printable(publisher),
                )


def _is_output(kind: Destination, record: Record) -> bool:
    """Return whether a record can be of a worker: any program can write one that is unreadable."""
    if kind is Destination.DEAD_LETTERS:
        return True
    readable = Event if kind is Destination.EVENTS else Prediction
    try:
        readable.read(record.value)
    except UnreadableError:
        return False
    return True


def _can_be_of(changelog: Changelog, record: Record, *, ahead: bool) -> bool:
    """Return whether a prediction may be the newest of its stream in a group's memory.

    `ahead`: the prediction may be newer than the changelog.
    """
    try:
        prediction = Prediction.read(record.value)
    except UnreadableError:
        return True  # of no group at all: audits and readers report it
    remembered = changelog.records.get(snapshot_key(prediction.stream))
    if remembered is None:
        return True
    snapshot = Snapshot.read(remembered)
    newer = ahead and prediction.offset > snapshot.offset
    return newer or snapshot.chain in (prediction.chain, NEW_CHAIN)


def _manifest_in(changelogs: Mapping[int, Changelog]) -> bool:
    return any(MANIFEST_KEY in changelog.records for changelog in changelogs.values())
