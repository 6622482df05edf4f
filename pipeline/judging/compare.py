"""Compares what a group published with its replay: the only place that says they are the same.

Where both began alike, every byte counts. Where the replay began in the middle, a stream counts
from the first frame on before which both sides forgot it for the same reason: until then the
memories differ, and afterwards still the chains, which go back further.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from pipeline.records import Record
from pipeline.wire.json_text import UnreadableError, read_object
from pipeline.wire.predictions import Prediction

CHAIN = frozenset({"prev", "chain"})
BEFORE_RESET = CHAIN | {"memory.gap_s"}  # the gap was measured from a frame before the reset


class Footing(IntEnum):
    """How much of a stream's past is the same on both sides."""

    NONE = 0
    MEMORY = 1  # since a reset that both sides had: all but the chain
    ALL = 2


@dataclass(frozen=True, slots=True)
class Difference:
    """The first field in which a stream's predictions differ; None stands for no prediction."""

    stream: str
    partition: int
    offset: int
    field: str
    published: object
    replayed: object


@dataclass(slots=True)
class Counts:
    """What was compared, in predictions. `compared` pairs have one on either side."""

    replayed: int = 0
    published: int = 0
    compared: int = 0
    same: int = 0  # every byte
    same_but_chain: int = 0
    differing: int = 0
    only_replayed: int = 0
    only_published: int = 0
    repeated: int = 0  # published again for the same record
    unreadable: int = 0  # published, but no prediction
    not_compared: int = 0  # of streams whose memory is not known to be the same
    labels_agree: int = 0  # of the pairs
    score_difference: float = 0.0  # summed over pairs and common labels
    scores: int = 0


@dataclass(slots=True)
class _Lane:
    footing: Footing
    difference: Difference | None = None


@dataclass(slots=True)
class Comparison:
    """One comparison over several partitions, one after the other. One owner thread.

    `same_bundle` says whether the group ran the bundle of the replay: otherwise every pair differs
    and that is no fault. `repeats` says whether its delivery may publish a prediction again.
    """

    same_bundle: bool
    repeats: bool
    counts: Counts = field(default_factory=Counts)
    _lanes: dict[tuple[int, str], _Lane] = field(default_factory=dict)

    def follow(
        self,
        replayed: Iterable[Prediction],
        published: Iterable[Record],
        *,
        start: int,
        end: int,
        exact: bool,
        whole: bool,
    ) -> Iterator[Prediction]:
        """Compare one partition on the way: what is replayed goes through.

        `published` is its predictions log, of which those of the records [start, end) count.
        `exact` says that both sides began at `start` without a memory, `whole` that the log still
        has its beginning: else the replay may have had predictions before it.
        """
        footing = Footing.ALL if exact else Footing.NONE
        log = self._once(published, start, end)
        theirs = next(log, None)
        for ours in replayed:
            self.counts.replayed += 1
            while theirs is not None and theirs.offset < ours.offset:
                self._alone(theirs, footing, replayed=False)
                theirs, whole = next(log, None), True
            if theirs is not None and theirs.offset == ours.offset:
                self._pair(ours, theirs, footing)
                theirs, whole = next(log, None), True
            elif whole:
                self._alone(ours, footing, replayed=True)
            else:
                self.counts.not_compared += 1
            yield ours
        while theirs is not None:
            self._alone(theirs, footing, replayed=False)
            theirs = next(log, None)

    @property
    def agrees(self) -> bool:
        """Whether nothing differs that should not."""
        c = self.counts
        wrong = c.differing + c.only_replayed + c.only_published + c.unreadable
        return not self.same_bundle or (wrong == 0 and (self.repeats or c.repeated == 0))

    @property
    def differences(self) -> list[Difference]:
        """The first one of each stream that has one."""
        return [lane.difference for lane in self._lanes.values() if lane.difference is not None]

    def _once(self, published: Iterable[Record], start: int, end: int) -> Iterator[Prediction]:
        """The first prediction of every record, in offset order; the others are counted."""
        highest = -1
        for record in published:
            prediction = _read(record)
            if prediction is None:
                self.counts.unreadable += 1
            elif start <= prediction.offset < end:
                self.counts.published += 1
                if prediction.offset <= highest:
                    self.counts.repeated += 1
                    continue
                highest = prediction.offset
                yield prediction

    def _lane(self, prediction: Prediction, footing: Footing) -> _Lane:
        key = prediction.partition, prediction.stream
        return self._lanes.setdefault(key, _Lane(footing))

    def _alone(self, prediction: Prediction, footing: Footing, *, replayed: bool) -> None:
        lane = self._lane(prediction, footing)
        if self.same_bundle and lane.footing is Footing.NONE:
            self.counts.not_compared += 1
            return
        if replayed:
            self.counts.only_replayed += 1
        else:
            self.counts.only_published += 1
        sides = (None, prediction.label) if replayed else (prediction.label, None)
        self._note(lane, prediction, "label", *sides)

    def _pair(self, ours: Prediction, theirs: Prediction, footing: Footing) -> None:
        self.counts.compared += 1
        lane = self._lane(ours, footing)
        if ours.value == theirs.value:
            self.counts.same += 1
            lane.footing = Footing.ALL  # the chain is the same: so is all that it goes back to
            self._weigh(ours, theirs)
            return
        self._weigh(ours, theirs)
        if not self.same_bundle:
            self.counts.differing += 1
            if ours.label != theirs.label:
                self._note(lane, ours, "label", theirs.label, ours.label)
        elif ours.model != theirs.model:
            self.counts.not_compared += 1
            lane.footing = Footing.NONE
        else:
            self._judge(lane, ours, theirs)

    def _judge(self, lane: _Lane, ours: Prediction, theirs: Prediction) -> None:
        """Compare two predictions of the same bundle, as far as the stream's footing goes."""
        aside = frozenset[str]() if lane.footing is Footing.ALL else CHAIN
        if lane.footing is Footing.NONE:
            if ours.reset is None or ours.reset != theirs.reset:
                self.counts.not_compared += 1
                return
            if not ours.reset.forgets_stream:
                lane.footing, aside = Footing.MEMORY, BEFORE_RESET
            elif ours.note != theirs.note:
                # The group owed the reset since a frame that did not decode, before the replay
                # began: the clock went back against that one, and the chain goes over the note.
                lane.footing, aside = Footing.MEMORY, CHAIN | {"memory.note"}
            else:
                lane.footing, aside = Footing.ALL, frozenset()
        found = first_difference(read_object(theirs.value), read_object(ours.value), aside)
        if found is None and lane.footing is Footing.MEMORY:
            self.counts.same_but_chain += 1
            return
        self.counts.differing += 1
        self._note(lane, ours, *(found or ("bytes", None, None)))

    def _note(
        self, lane: _Lane, at: Prediction, name: str, published: object, replayed: object
    ) -> None:
        if lane.difference is None:
            lane.difference = Difference(
                at.stream, at.partition, at.offset, name, published, replayed
            )

    def _weigh(self, ours: Prediction, theirs: Prediction) -> None:
        """Count whether the labels agree, and by how much the scores of common labels differ."""
        self.counts.labels_agree += ours.label == theirs.label
        for label in ours.scores.keys() & theirs.scores.keys():
            self.counts.score_difference += abs(ours.scores[label] - theirs.scores[label])
            self.counts.scores += 1


def _read(record: Record) -> Prediction | None:
    """Read a record of the predictions topic; None when it is no prediction of its partition."""
    try:
        prediction = Prediction.read(record.value)
    except UnreadableError:
        return None
    return prediction if prediction.partition == record.partition else None


def first_difference(
    published: Mapping[str, object], replayed: Mapping[str, object], aside: frozenset[str]
) -> tuple[str, object, object] | None:
    """Name the first field that differs, and both values: of the memory first, it is the cause."""
    left, right = dict(_fields(published)), dict(_fields(replayed))
    for name in sorted({**left, **right}, key=lambda name: not name.startswith("memory.")):
        if name not in aside and (name in left) + (name in right) == 1:
            return name, left.get(name), right.get(name)
        if name not in aside and left[name] != right[name]:
            return name, left[name], right[name]
    return None


def _fields(content: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
