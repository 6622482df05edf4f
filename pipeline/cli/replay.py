"""`longtake replay`: a stretch of the log again, and what differs from what was published."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console

from engines.model.bundle import Bundle, find_bundle, load_bundle
from pipeline.cli import differences
from pipeline.cli.commands import one_command
from pipeline.cli.options import AsJson, Bootstrap, ConfigFile, Group
from pipeline.clock import SystemClock
from pipeline.config import Delivery, load_config
from pipeline.errors import OutputError
from pipeline.judging.compare import Comparison
from pipeline.wire.history import History, Stretch, stretch

app = one_command()


@app.command()
def replay(
    bootstrap: Bootstrap = None,
    group: Group = None,
    config: ConfigFile = None,
    bundle: Annotated[
        str | None, typer.Option(help="A shipped bundle's name, or a path; also another one.")
    ] = None,
    partition: Annotated[
        list[int] | None, typer.Option(min=0, help="Only this one; may be given again. [all]")
    ] = None,
    first: Annotated[
        int | None, typer.Option("--from", min=0, help="Begin here. [where the group began]")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--to", min=0, help="End before this. [what the group finished]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write predictions here, one JSON object a line.")
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Compare with what was published; exit code 1 if wrong.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Go over a group's frames again: what should its workers have published?

    Joins no group and publishes nothing. Predictions go to --output, else to standard output (not
    with --diff or --json). Give it the workers' own --config: their rules of time count.

    Example: `longtake replay --group actions --diff`
    """
    from pipeline.broker.kafka.readers.replay_source import ReplaySource
    from pipeline.cli.again import Again

    settings = load_config(config, {"bootstrap": bootstrap, "group": group, "bundle": bundle})
    console = Console(stderr=True)
    with closing(ReplaySource(settings.group_settings, clock=SystemClock())) as source:
        loaded = load_bundle(find_bundle(settings.bundle))
        histories = source.histories(partition or ())
        plan = [(h, stretch(h, first=first, last=_last(h, last, diff=diff))) for h in histories]
        same, notes = _same_bundle(histories, loaded), _notes(plan, loaded)
        for note in notes:
            console.print(note, highlight=False, markup=False, soft_wrap=True)
        repeats = settings.delivery is Delivery.LOW_LATENCY
        again = Again(settings, loaded, source, Comparison(same, repeats=repeats) if diff else None)
        with closing(again), _opened(output, stdout=not diff and not as_json) as out:
            again.run(plan, out, console)
    facts = {"bundle": loaded.id, "notes": notes} | again.facts
    if as_json:
        typer.echo(json.dumps(facts))
    elif again.comparison is not None:
        differences.show(again.comparison, facts["diff"], Console())
    else:
        console.print(
            f"{again.predictions} predictions of {again.records} records", highlight=False
        )
    if again.comparison is not None and not again.comparison.agrees:
        raise typer.Exit(1)


def _last(history: History, last: int | None, *, diff: bool) -> int | None:
    """What the group has not finished cannot be compared."""
    return min(last, history.manifest.next_offset) if diff and last is not None else last


def _same_bundle(histories: Iterable[History], bundle: Bundle) -> bool:
    return all(history.manifest.bundle == bundle.digest for history in histories)


def _notes(plan: Iterable[tuple[History, Stretch]], bundle: Bundle) -> list[str]:
    foreign = sorted({h.manifest.bundle for h, _ in plan} - {bundle.digest})
    notes = [
        f"the group runs bundle {digest[:8]}, this is {bundle.id}: another bundle"
        for digest in foreign
    ]
    return notes + [note for _, chosen in plan for note in chosen.notes]


@contextmanager
def _opened(path: Path | None, *, stdout: bool) -> Iterator[BinaryIO | None]:
    """Where predictions are written; None: nowhere. What cannot be written is an `OutputError`."""
    try:
        if path is not None:
            with path.open("wb") as file:
                yield file
        else:
            yield sys.stdout.buffer if stdout else None
            if stdout:
                sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputError(f"cannot write {path or 'standard output'}: {exc.strerror}") from exc
