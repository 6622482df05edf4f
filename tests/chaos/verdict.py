"""Compares the results of a run with the expected ones. The only place that counts violations."""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.chaos.model import Model
from tests.chaos.oracle import Oracle, Place, Taken

EXAMPLES = 5
LET_THROUGH = ("predicted", "dead_lettered", "unkeyed", "skipped")


@dataclass(slots=True)
class Verdict:
    """The counts that must be zero, examples of violations, and how much was compared."""

    records: int = 0  # in the log
    predictions: int = 0
    repeats: int = 0  # with low latency they may be
    fates: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)  # fates of the units of H.264
    violations: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    expected: dict[Place, bytes] = field(default_factory=dict)

    KINDS = ("unlogged", "lost", "repeated", "differing", "invented", "chain breaks",
             "ledger mismatches")  # fmt: skip

    def blame(self, kind: str, what: str) -> None:
        """Count a violation."""
        self.violations[kind] += 1
        if len(self.examples[kind]) < EXAMPLES:
            self.examples[kind].append(what)

    @property
    def clean(self) -> bool:
        """Whether all counts are zero."""
        return not self.violations.total()


def judge(
    *,
    bundle: Path,
    taken: Sequence[Taken],
    frames: Iterable[Any],
    predictions: Sequence[Any],
    dead_letters: Iterable[Any],
    manifests: Mapping[int, Mapping[str, Any]],
    gap_reset_s: float,
    stream_ttl_s: float,
    keyframe_s: float,
    skipped: Mapping[str, Sequence[range]] = MappingProxyType({}),
    repeats_allowed: bool = False,
) -> Verdict:
    """Judge a run that has settled. The topics' records are in partition and offset order.

    The oracle is fed the frames that the cameras recorded. Frames whose acknowledgement was lost
    are taken from the log, which must hold all acknowledged frames. `skipped` is what the changelog
    says; `repeats_allowed` is for `low_latency`: repeats with the same bytes are only counted.
    """
    verdict = Verdict()
    records = _in_order(verdict, taken, frames)
    model = Model(bundle)
    for number, mine in records.items():
        oracle = Oracle(
            model,
            gap_reset_s=gap_reset_s,
            stream_ttl_s=stream_ttl_s,
            keyframe_s=keyframe_s,
            skipped=skipped,
        )
        oracle.feed(mine)
        verdict.expected |= oracle.predictions
        fates = Counter(oracle.fates.values())
        verdict.fates += fates
        verdict.units += Counter(oracle.fates[t.partition, t.offset] for t in mine if t.unit)
        _check_skipped(verdict, mine, oracle.fates)
        _check_ledger(verdict, number, manifests.get(number), fates, len(mine))
        letters = Counter(
            fate_place for fate_place, fate in oracle.fates.items() if fate == "dead_lettered"
        )
        _check_letters(verdict, number, letters, dead_letters)
    verdict.records = sum(map(len, records.values()))
    verdict.predictions = len(predictions)
    news = list(_news(predictions)) if repeats_allowed else predictions
    _compare(verdict, predictions, news, repeats_allowed=repeats_allowed)
    _check_chains(verdict, news)
    return verdict


def _in_order(
    verdict: Verdict, taken: Sequence[Taken], frames: Iterable[Any]
) -> dict[int, list[Taken]]:
    """Return records by partition; a missing or changed acknowledged one is a violation."""
    logged = {
        (raw.partition, raw.offset): Taken(
            raw.key.decode(), raw.partition, raw.offset, raw.timestamp, raw.value, dict(raw.headers)
        )
        for raw in frames
    }
    for noted in taken:
        place = noted.partition, noted.offset
        if logged.get(place) != noted:
            verdict.blame("unlogged", f"{noted.stream} at {place}")
            logged[place] = noted
    records: dict[int, list[Taken]] = defaultdict(list)
    for place in sorted(logged):
        records[place[0]].append(logged[place])
    return records


def _news(predictions: Iterable[Any]) -> Iterator[Any]:
    """Leave out repeats as readers do who are told that there may be some: by the offset."""
    newest: dict[tuple[bytes, int], int] = {}
    for raw in predictions:
        partition, offset = _source(raw)
        if offset > newest.get((raw.key, partition), -1):
            newest[raw.key, partition] = offset
            yield raw


def _compare(
    verdict: Verdict, predictions: Sequence[Any], news: Iterable[Any], *, repeats_allowed: bool
) -> None:
    came: Counter[Place] = Counter()
    for raw in predictions:
        place = _source(raw)
        came[place] += 1
        wanted = verdict.expected.get(place)
        if wanted is None:
            verdict.blame("invented", f"{place}: {raw.value!r}")
        elif came[place] > 1 and not repeats_allowed:
            verdict.blame("repeated", f"{place}: again at {raw.offset} by {_worker(raw)}")
        elif raw.value != wanted or raw.partition != place[0]:
            verdict.blame("differing", f"{place} by {_worker(raw)}: {raw.value!r} not {wanted!r}")
        verdict.repeats += came[place] > 1
    for place in sorted(verdict.expected.keys() - {_source(raw) for raw in news}):
        verdict.blame("lost", f"{place}: {verdict.expected[place]!r}")


def _check_skipped(verdict: Verdict, mine: Sequence[Taken], fates: Mapping[Place, str]) -> None:
    """Check that frames were skipped for newer ones only: a stream's last frame never is."""
    last = {t.stream: t for t in mine if fates[t.partition, t.offset] in LET_THROUGH}
    for stream, taken in last.items():
        if fates[taken.partition, taken.offset] == "skipped":
            verdict.blame("lost", f"{stream}: its last frame, {taken.offset}, was skipped")


def _check_chains(verdict: Verdict, predictions: Sequence[Any]) -> None:
    """Check every link from the text alone, as any reader can."""
    newest: dict[bytes, str] = defaultdict(lambda: "00000000")
    for raw in predictions:
        body, _, tail = raw.value.rpartition(b',"prev":"')
        prev, chain = tail[:8].decode(), tail[-10:-2].decode()
        fresh = b'"reset":"new"' in body or b'"reset":"ended"' in body
        wanted = "00000000" if fresh else newest[raw.key]
        if prev != wanted or chain != f"{zlib.crc32(prev.encode() + body):08x}":
            verdict.blame("chain breaks", f"{raw.key!r} {_source(raw)} by {_worker(raw)}")
        newest[raw.key] = chain


def _check_ledger(
    verdict: Verdict,
    number: int,
    manifest: Mapping[str, Any] | None,
    fates: Mapping[str, int],
    records: int,
) -> None:
    if manifest is None:
        verdict.blame("ledger mismatches", f"partition {number} has no manifest")
        return
    stated = {fate: count for fate, count in manifest["fates"].items() if count}
    covered = manifest["next_offset"] - manifest["first_offset"]
    if covered != sum(stated.values()) + manifest["absent"] + manifest["expired"]:
        verdict.blame("ledger mismatches", f"partition {number} does not add up: {manifest}")
    if stated != dict(fates) or sum(stated.values()) != records:
        verdict.blame("ledger mismatches", f"partition {number}: {stated} not {dict(fates)}")


def _check_letters(
    verdict: Verdict, number: int, wanted: Counter[Place], dead_letters: Iterable[Any]
) -> None:
    places = [_letter_source(raw) for raw in dead_letters]
    came = Counter(place for place in places if place[0] == number)
    if came != wanted:
        off = sorted((came - wanted) + (wanted - came))[:EXAMPLES]
        verdict.blame("ledger mismatches", f"dead letters of partition {number} differ: {off}")


def _source(raw: Any) -> Place:
    _, _, tail = raw.value.rpartition(b'"source":{"partition":')
    partition, _, rest = tail.partition(b',"offset":')
    return int(partition), int(rest.partition(b"}")[0])


def _letter_source(raw: Any) -> Place:
    headers = dict(raw.headers)
    return int(headers["source-partition"]), int(headers["source-offset"])


def _worker(raw: Any) -> str:
    headers: Mapping[str, bytes] = dict(raw.headers)
    return headers.get("worker", b"?").decode()
