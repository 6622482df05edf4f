"""`longtake audit`: checks the log against itself, and prints each break."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from pipeline.cli.commands import one_command
from pipeline.cli.shared.options import AsJson, ConfigFile, Group, KafkaFlags, with_kafka
from pipeline.cli.shared.output import print_facts
from pipeline.cli.shared.progress import a_bar_each, columns
from pipeline.clock import SystemClock
from pipeline.config import Delivery, WorkerConfig, load_config
from pipeline.judging.audit import AuditReport, FateTally
from pipeline.offline.group_audit import audit_group
from pipeline.records import Destination
from pipeline.text.terminal import Terminal, plain

BREAK = 1
NAMES = {Destination.PREDICTIONS: "predictions", Destination.DEAD_LETTERS: "dead letters"}

app = one_command()


@app.command()
@with_kafka
def audit(
    kafka: KafkaFlags,
    delivery: Annotated[
        Delivery | None,
        typer.Option(help="What the workers were set to; low_latency may repeat. [exactly_once]"),
    ] = None,
    as_json: AsJson = False,
    group: Group = None,
    config: ConfigFile = None,
) -> None:
    """Prove that no prediction is missing, repeated, altered or out of order; else exit with 1.

    Workers may go on meanwhile: what they commit after the manifests are read is not judged.

    Example: `longtake audit --group actions`
    """
    flags = {**kafka, "group": group, "delivery": delivery}
    settings = load_config(config, flags)
    report = _audited(settings)
    if as_json:
        print_facts(report.json())
    else:
        _show(report, Terminal())
    if report.breaks:
        raise typer.Exit(BREAK)


def _audited(settings: WorkerConfig) -> AuditReport:
    """Audit, with a bar for each topic on a terminal, and silence elsewhere."""
    console = Terminal(stderr=True)
    with Progress(
        *columns(), console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        return audit_group(
            settings.group_settings,
            repeats_allowed=settings.delivery is Delivery.LOW_LATENCY,
            clock=SystemClock(),
            progress=a_bar_each(bars),
        )


def _show(report: AuditReport, console: Terminal) -> None:
    table = Table("partition", "life", "offsets", "predicted", "dead letters", "streams", "breaks")
    for life in report.lives:
        table.add_row(
            str(life.partition),
            str(life.life) if life.newest else f"{life.life} (ended)",
            "" if life.first_offset is None else f"{life.first_offset} to {life.next_offset}",
            _tally(life.predicted, found=life.predictions),
            _tally(life.dead_lettered, found=None),
            str(len(life.streams)),
            plain(str(life.breaks), "bold red" if life.breaks else ""),
        )
    console.print(table)
    for line in _growths(report):
        console.say(line)
    findings = [finding for life in report.lives for finding in life.findings]
    if findings:
        broken = Table("break", "partition", "life", "stream", "frame", "what was found")
        for found in findings:
            places = (found.partition, found.life, found.stream or "", found.offset)
            words = ("" if place is None else str(place) for place in places)
            broken.add_row(found.kind, *words, found.message)
        console.print(broken)
    for note in report.notes:
        console.say(note)
    for other in report.others:
        console.say(
            f"group {other.group} has published {other.records} {NAMES[other.kind]} into the same"
            " topic: they are not judged here. Give each group topics of its own"
        )
    console.say(_total(report))


def _tally(tally: FateTally | None, *, found: int | None) -> str:
    if tally is None:
        return "" if found is None else f"{found}, no ledger"
    if tally.log_begins is not None:
        return f"{tally.found} of {tally.ledger}, log begins at {tally.log_begins}"
    return str(tally.found) if not tally.broken else f"{tally.found} of {tally.ledger}"


def _growths(report: AuditReport) -> list[str]:
    """Say how the partitions that are not the first ones came to be."""
    began = [life.origin for life in report.lives if life.origin is not None]
    lines = []
    for before, after in sorted({(one.before, one.after) for one in began}):
        new = [one for one in began if one.after == after]
        at = datetime.fromtimestamp(max(one.at_ms for one in new) / 1000, UTC)
        moved = sum(one.streams for one in new)
        lines.append(
            f"grown from {before} to {after} partitions at {at:%Y-%m-%d %H:%M:%S} UTC, {moved}"
            " streams moved"
        )
    return lines


def _total(report: AuditReport) -> Text:
    predictions = sum(life.predictions for life in report.lives)
    streams = {stream for life in report.lives for stream in life.streams}
    repeats = sum(life.repeats for life in report.lives)
    ahead = sum(life.ahead for life in report.lives)
    words = [f"{predictions} predictions of {len(streams)} streams"]
    words += [f"{repeats} repeats"] if repeats else []
    words += [f"{ahead} beyond the manifests"] if ahead else []
    older = sum(life.older for life in report.lives)
    words += [f"{older} older than the ledger"] if older else []
    tallies = (tally for life in report.lives for tally in (life.predicted, life.dead_lettered))
    if any(tally is not None and tally.log_begins is not None for tally in tallies):
        words.append("not provable where the log's beginning is deleted")
    many = "" if report.breaks == 1 else "s"
    broken = plain(f"{report.breaks} break{many}", "bold red")
    verdict = broken if report.breaks else plain("no break", "green")
    return plain(f"{', '.join(words)}: ").append_text(verdict)
