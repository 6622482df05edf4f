"""The result of a chaos run: one table, and the same as JSON."""

import re
import statistics
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from tests.chaos.logs import Arrival
from tests.chaos.oracle import Place
from tests.chaos.schedule import Fault
from tests.chaos.steps import IN_TRANSACTION, STEPS
from tests.chaos.verdict import Verdict

A_BUG = 1  # the exit code of an error that longtake does not know
FRESH_S = 10.0  # a stream that was predicted within this long before a fault counts as affected
RESTORED = re.compile(r"restored partitions \[.*\] with \d+ streams in ([\d.]+) s")
GROUPS: dict[str, Callable[[Fault], bool]] = {
    "static worker dies": lambda f: f.static and f.kind.startswith("kill"),
    "dynamic worker dies": lambda f: not f.static and f.kind.startswith("kill"),
    "worker freezes": lambda f: f.kind.startswith(("stop ", "zombie", "twin")),
    "worker is told to go": lambda f: f.kind in ("term", "leave"),
    "broker dies or freezes": lambda f: f.kind.startswith("broker"),
    "leaders move": lambda f: f.kind == "leaders",
    "network": lambda f: f.kind.startswith(("cut", "stall", "slow", "lose")),
}


@dataclass(frozen=True, slots=True)
class Spread:
    """Some durations, in seconds."""

    count: int
    p50_s: float
    p99_s: float
    max_s: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread | None":
        """Return the spread; None if there are no durations."""
        ordered = sorted(values)
        if not ordered:
            return None
        last = len(ordered) - 1
        return cls(len(ordered), statistics.median(ordered), ordered[round(0.99 * last)],
                   ordered[-1])  # fmt: skip

    def __str__(self) -> str:
        return f"{self.p50_s:.2f} / {self.p99_s:.2f} / {self.max_s:.2f} s (n = {self.count})"


@dataclass(slots=True)
class Report:
    """All results of one run."""

    seed: int
    seconds: float
    workers: int
    acknowledged: int
    unknown: int
    verdict: Verdict
    troubles: Mapping[str, int]
    faults: Sequence[Fault]
    recoveries: dict[str, Spread | None] = field(default_factory=dict)
    restores: Spread | None = None
    rewinds: Sequence[int] = ()  # records that were read again for their units, by restore
    aborts: Mapping[str, int] = field(default_factory=dict)
    exits: Sequence[tuple[str, int]] = ()
    replay_differences: int = 0
    audit_breaks: int = 0
    unsettled: str | None = None
    stalls: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Faults by kind."""
        return dict(sorted(Counter(fault.kind for fault in self.faults).items()))

    @property
    def clean(self) -> bool:
        """Whether everything that must be zero is zero."""
        bugs = [name for name, code in self.exits if code == A_BUG]
        return (
            self.verdict.clean
            and not self.replay_differences
            and not self.audit_breaks
            and self.unsettled is None
            and not bugs
        )

    def as_json(self) -> dict[str, Any]:
        """Return the results as JSON."""
        verdict = self.verdict
        return {
            "clean": self.clean,
            "seed": self.seed,
            "seconds": self.seconds,
            "workers": self.workers,
            "acknowledged": self.acknowledged,
            "unknown": self.unknown,
            "records": verdict.records,
            "predictions": verdict.predictions,
            "repeats": verdict.repeats,
            "fates": dict(verdict.fates),
            "fates_of_units": dict(verdict.units),
            "violations": {kind: verdict.violations[kind] for kind in Verdict.KINDS},
            "examples": dict(verdict.examples),
            "replay_differences": self.replay_differences,
            "audit_breaks": self.audit_breaks,
            "unsettled": self.unsettled,
            "troubles": dict(self.troubles),
            "faults": self.counts,
            "deaths_and_freezes": self.deaths_and_freezes,
            "deaths_and_freezes_in_transaction": self.in_transaction,
            "fewest_kills_at_a_step": self.fewest_kills_at_a_step,
            "recoveries_s": {name: numbers(s) for name, s in self.recoveries.items()},
            "restores_s": numbers(self.restores),
            "rewinds": len(self.rewinds),
            "records_rewound": sum(self.rewinds),
            "aborts": dict(self.aborts),
            "stalls": self.stalls,
            "exits": [list(pair) for pair in self.exits],
        }

    @property
    def in_transaction(self) -> int:
        """How many of these certainly had an open transaction."""
        kinds = {f"{action} {step}" for action in ("kill", "stop") for step in IN_TRANSACTION}
        return sum(fault.kind in kinds for fault in self.faults)

    @property
    def deaths_and_freezes(self) -> int:
        """How many workers were killed or frozen, at a named step or at a random moment."""
        return sum(f.kind.startswith(("kill", "stop ", "zombie", "twin")) for f in self.faults)

    @property
    def fewest_kills_at_a_step(self) -> int:
        """How many workers died at the step with the fewest deaths."""
        return min(self.counts.get(f"kill {step}", 0) for step in STEPS)

    def table(self) -> Table:
        """Return the results as a table."""
        table = Table("what", "count", title=f"chaos, seed {self.seed}, {self.seconds:.0f} s")
        verdict = self.verdict
        table.add_row("frames acknowledged", f"{self.acknowledged} (+ {self.unknown} unknown)")
        repeats = f" ({verdict.repeats} repeats)" if verdict.repeats else ""
        table.add_row("predictions", f"{verdict.predictions}{repeats}")
        table.add_row("fates", _words(verdict.fates))
        table.add_row("of them units of H.264", _words(verdict.units))
        table.add_row("misbehaviour of cameras", _words(self.troubles), end_section=True)
        for kind, count in self.counts.items():
            table.add_row(kind, str(count))
        table.add_row("all faults", str(len(self.faults)))
        table.add_row("  workers killed or frozen", str(self.deaths_and_freezes))
        table.add_row("  of them in a transaction", str(self.in_transaction))
        table.add_row(
            "  killed at the step met least", str(self.fewest_kills_at_a_step), end_section=True
        )
        for name, spread in self.recoveries.items():
            table.add_row(f"{name}: p50 / p99 / max", str(spread or "-"))
        table.add_row("restore: p50 / p99 / max", str(self.restores or "-"))
        table.add_row(
            "partitions read from a keyframe", f"{len(self.rewinds)} ({sum(self.rewinds)} records)"
        )
        table.add_row("commits that failed", _words(self.aborts))
        table.add_row("times that a partition stood still for 20 s", str(self.stalls))
        table.add_row("exits of their own", _words(Counter(f"{n}: {c}" for n, c in self.exits)),
                      end_section=True)  # fmt: skip
        for kind in Verdict.KINDS:
            count = verdict.violations[kind]
            table.add_row(kind, f"[bold {'red' if count else 'green'}]{count}[/]")
        for judge, count in (
            ("longtake replay", self.replay_differences),
            ("longtake audit", self.audit_breaks),
        ):
            color = "red" if count else "green"
            table.add_row(f"found by {judge}", f"[bold {color}]{count}[/]")
        if self.unsettled is not None:
            table.add_row("[bold red]did not settle[/]", self.unsettled)
        return table


def recoveries(
    faults: Sequence[Fault], arrivals: Sequence[Arrival], expected: Mapping[Place, bytes]
) -> dict[str, Spread | None]:
    """Return the times from each fault to the first correct prediction of each affected stream.

    Only predictions frozen after the fault count, not those that were being committed at its time.
    """
    by_stream: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        by_stream[arrival.stream].append(arrival)
    return {
        name: Spread.of(
            waited
            for fault in faults
            if belongs(fault)
            for mine in by_stream.values()
            if mine[0].place[0] in fault.partitions
            and (waited := first_after(mine, fault.at_s, expected)) is not None
        )
        for name, belongs in GROUPS.items()
    }


def first_after(
    mine: Sequence[Arrival], at_s: float, expected: Mapping[Place, bytes]
) -> float | None:
    """Return how long after `at_s` a stream's first correct prediction came; None: no frame."""
    begin = bisect_left(mine, at_s, key=lambda arrival: arrival.seen_s)
    if begin == 0 or at_s - mine[begin - 1].seen_s > FRESH_S:
        return None
    for arrival in mine[begin:]:
        if arrival.frozen_s > at_s and expected.get(arrival.place) == arrival.value:
            return arrival.seen_s - at_s
    return None


def restore_times(lines: Iterable[str]) -> Spread | None:
    """Return the restore times in the workers' logs."""
    return Spread.of(float(found[1]) for line in lines if (found := RESTORED.search(line)))


def numbers(spread: Spread | None) -> dict[str, float] | None:
    """Return numbers for JSON, rounded to milliseconds."""
    if spread is None:
        return None
    return {
        "n": spread.count,
        "p50": round(spread.p50_s, 3),
        "p99": round(spread.p99_s, 3),
        "max": round(spread.max_s, 3),
    }


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "-"
