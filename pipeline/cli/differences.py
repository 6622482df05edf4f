"""How a comparison is told: as a table to people, as one JSON object to programs."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.judging.compare import Comparison

SHOWN = 20  # streams, in the table


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Every count and the first difference of each stream."""
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


def show(comparison: Comparison, facts: dict[str, Any], console: Console) -> None:
    """Print the counts that say something, and where the first streams begin to differ."""
    table = Table("predictions", "", show_header=False)
    for name, count in _told(facts):
        table.add_row(name, count)
    console.print(table)
    differences = comparison.differences
    if differences:
        streams = Table("stream", "partition", "offset", "field", "published", "replayed")
        for d in differences[:SHOWN]:
            words = (d.partition, d.offset, d.field, d.published, d.replayed)
            streams.add_row(d.stream, *("none" if word is None else str(word) for word in words))
        console.print(streams)
    if len(differences) > SHOWN:
        console.print(f"and {len(differences) - SHOWN} more streams; --json lists them all")
    console.print(_verdict(comparison), highlight=False)


def _told(facts: dict[str, Any]) -> Iterable[tuple[str, str]]:
    always = ("replayed", "published", "same", "differing", "only_replayed", "only_published")
    for name, count in facts["counts"].items():
        if count or name in always:
            yield NAMES[name], str(count)
    if facts["labels_agree_percent"] is not None:
        yield "labels agree", f"{facts['labels_agree_percent']} %"
    if facts["mean_score_difference"]:
        yield "mean difference of a score", f"{facts['mean_score_difference']:.6f}"


NAMES = {
    "replayed": "replayed",
    "published": "published",
    "compared": "compared",
    "same": "the same bytes",
    "same_but_chain": "the same but for the chain",
    "differing": "differing",
    "only_replayed": "missing in the log",
    "only_published": "missing in the replay",
    "repeated": "published again",
    "unreadable": "published and unreadable",
    "not_compared": "not compared",
}


def _verdict(comparison: Comparison) -> str:
    if not comparison.same_bundle:
        return "another bundle: differences are expected"
    return "no difference" if comparison.agrees else "[bold red]they differ[/]"


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None
