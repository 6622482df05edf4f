"""Compares what a group published with its replay. The only place that decides if they agree.

If both sides began at the same record, every byte is compared. If the replay began later, a stream
is compared from the first frame before which both sides reset it for the same reason: before that
the memories differ. After that the chains can still differ, because they reach further back.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from pipeline.judging.chain import MOST_STREAMS
from pipeline.records import Record
from pipeline.wire.json_text import UnreadableError, read_object
from pipeline.wire.predictions import Prediction

CHAIN = frozenset({"prev", "chain"})
BEFORE_RESET = CHAIN | {"memory.gap_s"}  # the gap was measured from a frame before the reset


class CommonPast(IntEnum):
    """How much of a stream's past is the same on both sides."""

    NONE = 0
    MEMORY = 1  # all but the chain, since a reset on both sides
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
    """The counts of one comparison, in predictions. `compared` counts pairs: one on each side.

    Only its own methods write its fields.
    """

    replayed: int = 0
    published: int = 0
    compared: int = 0
    same: int = 0  # every byte
    same_but_chain: int = 0
    differing: int = 0
    only_replayed: int = 0
    only_published: int = 0
    repeated: int = 0  # published again for the same record
    unreadable: int = 0  # published, but not a prediction
    not_compared: int = 0  # memory not known to be the same on both sides, or too many streams
    labels_agree: int = 0  # of the pairs
    score_difference: float = 0.0  # summed over pairs and common labels
    scores: int = 0

    def count_replayed(self) -> None:
        """Count a replayed prediction."""
        self.replayed += 1

    def count_published(self, *, repeated: bool) -> None:
        """Count a published prediction."""
        self.published += 1
        self.repeated += repeated

    def count_unreadable(self) -> None:
        """Count a published record that is not a prediction."""
        self.unreadable += 1

    def count_not_compared(self) -> None:
        """Count a prediction whose stream's memory may differ."""
        self.not_compared += 1

    def count_single(self, *, replayed: bool) -> None:
        """Count a prediction that only one side has."""
        if replayed:
            self.only_replayed += 1
        else:
            self.only_published += 1

    def count_pair(self, ours: Prediction, theirs: Prediction) -> None:
        """Count a pair, whether its labels agree, and how much the scores of its labels differ."""
        self.compared += 1
        self.labels_agree += ours.label == theirs.label
        for label in ours.scores.keys() & theirs.scores.keys():
            self.score_difference += abs(ours.scores[label] - theirs.scores[label])
            self.scores += 1

    def count_same(self) -> None:
        """Count a pair with the same bytes."""
        self.same += 1

    def count_same_but_chain(self) -> None:
        """Count a pair that differs in nothing but the fields which may differ after a reset."""
        self.same_but_chain += 1

    def count_differing(self) -> None:
        """Count a pair that differs."""
        self.differing += 1


@dataclass(slots=True)
class _StreamComparison:
    """One stream: how much of its past is the same on both sides, and its first difference."""

    past: CommonPast
    difference: Difference | None = None

    def set_past(self, past: CommonPast) -> None:
        self.past = past

    def note(self, at: Prediction, name: str, published: object, replayed: object) -> None:
        """Keep the difference if it is the stream's first."""
        if self.difference is None:
            self.difference = Difference(
                at.stream, at.partition, at.offset, name, published, replayed
            )


@dataclass(slots=True)
class Comparison:
    """One comparison over several partitions, one after the other. One owner thread.

    `same_bundle`: the group ran the same bundle as the replay. If it did not, every pair differs,
    and that is no disagreement. `repeats`: the group's delivery may publish a prediction twice.
    Streams beyond `most_streams` are not compared.
    """

    same_bundle: bool
    repeats: bool
    most_streams: int = MOST_STREAMS
    counts: Counts = field(default_factory=Counts)
    _streams: dict[tuple[int, str], _StreamComparison] = field(default_factory=dict)

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
        """Compare one partition, and yield the replayed predictions unchanged.

        `published` is the partition's predictions log; its predictions for the records [start, end)
        count. `exact`: both sides began at `start` without memory. `whole`: the log still has its
        beginning. If it has not, retention may have deleted the counterparts of the first replayed
        predictions, so these are not compared.
        """
        past = CommonPast.ALL if exact else CommonPast.NONE
        log = self._once(published, start, end)
        theirs = next(log, None)
        for ours in replayed:
            self.counts.count_replayed()
            while theirs is not None and theirs.offset < ours.offset:
                self._single(theirs, past, replayed=False)
                theirs, whole = next(log, None), True
            if theirs is not None and theirs.offset == ours.offset:
                self._pair(ours, theirs, past)
                theirs, whole = next(log, None), True
            elif whole:
                self._single(ours, past, replayed=True)
            else:
                self.counts.count_not_compared()
            yield ours
        while theirs is not None:
            self._single(theirs, past, replayed=False)
            theirs = next(log, None)

    @property
    def agrees(self) -> bool:
        """Whether nothing differs that should be the same."""
        c = self.counts
        wrong = c.differing + c.only_replayed + c.only_published + c.unreadable
        return not self.same_bundle or (wrong == 0 and (self.repeats or c.repeated == 0))

    @property
    def differences(self) -> list[Difference]:
        """The first difference of each stream that has one."""
        return [one.difference for one in self._streams.values() if one.difference is not None]

    def _once(self, published: Iterable[Record], start: int, end: int) -> Iterator[Prediction]:
        """Yield the first prediction of every record, in offset order; count the repeated ones."""
        highest = -1
        for record in published:
            prediction = _read(record)
            if prediction is None:
                self.counts.count_unreadable()
            elif start <= prediction.offset < end:
                repeated = prediction.offset <= highest
                self.counts.count_published(repeated=repeated)
                if not repeated:
                    highest = prediction.offset
                    yield prediction

    def _stream(self, prediction: Prediction, past: CommonPast) -> _StreamComparison | None:
        key = prediction.partition, prediction.stream
        if key not in self._streams and len(self._streams) >= self.most_streams:
            return None
        return self._streams.setdefault(key, _StreamComparison(past))

    def _single(self, prediction: Prediction, past: CommonPast, *, replayed: bool) -> None:
        stream = self._stream(prediction, past)
        if stream is None or (self.same_bundle and stream.past is CommonPast.NONE):
            self.counts.count_not_compared()
            return
        self.counts.count_single(replayed=replayed)
        sides = (None, prediction.label) if replayed else (prediction.label, None)
        stream.note(prediction, "label", *sides)

    def _pair(self, ours: Prediction, theirs: Prediction, past: CommonPast) -> None:
        self.counts.count_pair(ours, theirs)
        stream = self._stream(ours, past)
        if stream is None:
            self.counts.count_not_compared()
            return
        if ours.value == theirs.value:
            self.counts.count_same()
            stream.set_past(CommonPast.ALL)  # the chains agree, so everything before does too
        elif not self.same_bundle:
            self.counts.count_differing()
            if ours.label != theirs.label:
                stream.note(ours, "label", theirs.label, ours.label)
        elif ours.model != theirs.model:
            self.counts.count_not_compared()
            stream.set_past(CommonPast.NONE)
        else:
            self._compare(stream, ours, theirs)

    def _compare(self, stream: _StreamComparison, ours: Prediction, theirs: Prediction) -> None:
        """Compare two predictions of the same bundle in the fields that must be the same."""
        aside = frozenset[str]() if stream.past is CommonPast.ALL else CHAIN
        if stream.past is CommonPast.NONE:
            if ours.reset is None or ours.reset != theirs.reset:
                self.counts.count_not_compared()
                return
            past, aside = _past_since_reset(ours, theirs)
            stream.set_past(past)
        found = first_difference(read_object(theirs.value), read_object(ours.value), aside)
        if found is None and stream.past is CommonPast.MEMORY:
            self.counts.count_same_but_chain()
            return
        self.counts.count_differing()
        stream.note(ours, *(found or ("bytes", None, None)))


def _past_since_reset(ours: Prediction, theirs: Prediction) -> tuple[CommonPast, frozenset[str]]:
    """Return what is common after the same reset on both sides, and the fields that may differ."""
    if ours.reset is None or not ours.reset.forgets_stream:
        return CommonPast.MEMORY, BEFORE_RESET
    if ours.note != theirs.note:
        # In the group the reset was pending since a frame that did not decode, before the replay
        # began. The clock went back relative to that frame, and the note is part of the chain.
        return CommonPast.MEMORY, CHAIN | {"memory.note"}
    return CommonPast.ALL, frozenset()


def _read(record: Record) -> Prediction | None:
    """Read a published prediction; None if it is not a prediction of its own partition."""
    try:
        prediction = Prediction.read(record.value)
    except UnreadableError:
        return None
    return prediction if prediction.partition == record.partition else None


def first_difference(
    published: Mapping[str, object], replayed: Mapping[str, object], aside: frozenset[str]
) -> tuple[str, object, object] | None:
    """Return the first field that differs, and both values. Memory fields come first: the cause."""
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
