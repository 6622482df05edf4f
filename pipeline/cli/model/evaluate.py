"""`longtake evaluate`: how good a bundle is, and what a lost memory costs."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from engines.load import load_engine
from engines.model.bundle import find_bundle, load_bundle
from engines.model.verdicts import Verdicts
from pipeline.cli.commands import one_command
from pipeline.cli.shared.options import AsJson
from pipeline.cli.shared.output import print_facts, try_to_write, write_text
from pipeline.cli.shared.progress import tasks
from pipeline.errors import DependencyError
from pipeline.text.terminal import Terminal, two_lines

app = one_command()


@app.command()
def evaluate(
    bundle: Annotated[str, typer.Argument(help="A shipped bundle's name, or a path.")] = "actions",
    streams: Annotated[
        int,
        typer.Option(min=2, help="Of each test; 120 take three minutes on two cores."),
    ] = 120,
    seed: Annotated[int, typer.Option(min=2000, help="Of the streams that are drawn.")] = 7001,
    html: Annotated[Path | None, typer.Option(help="Write a report to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a bundle on labelled streams, and what it costs to lose its memory.

    The streams are the demo's: people whom training never saw, drawn and rendered for you.
    A head without memory is trained on five times as many others; with few it stays weak.

    Example: `longtake evaluate actions --streams 12 --html report.html`
    """
    loaded = load_bundle(find_bundle(bundle))
    try:
        from engines.train.evaluation.demo import demo_data
        from engines.train.evaluation.evaluate import evaluate as measure
        from engines.train.evaluation.report import write_report
        from engines.train.people.actors import PackError
    except ModuleNotFoundError as exc:
        raise DependencyError(
            f"`longtake evaluate` needs {exc.name}, which is not installed: "
            "in longtake's repository, pip install -e '.[train]'"
        ) from exc
    if html is not None:
        try_to_write(html)  # now, not when everything is measured
    verdicts = Verdicts.of(os.environ)
    load_engine("onnxruntime", loaded, threads=1, verdicts=verdicts).close()  # it is checked
    try:
        data = demo_data(loaded, seed=seed, streams=streams)
    except PackError as exc:
        raise DependencyError(str(exc)) from exc
    with tasks(Terminal(stderr=True)) as progress:
        found = measure(loaded, data, progress)
    if html is not None:
        write_text(html, write_report(found, loaded))
    if as_json:
        print_facts(found.facts)
    else:
        _show(found.facts, Terminal())


def _show(facts: dict[str, Any], console: Terminal) -> None:
    from engines.train.evaluation.facts import FIGURES, tests_of, title, written

    tests = tests_of(facts)
    figures = Table(facts["bundle"])
    for name, test in tests.items():
        figures.add_column(two_lines(title(name), test["about"]))
    for key, (name, _) in FIGURES.items():
        figures.add_row(name, *(written(test, key) for test in tests.values()))
    console.print(figures)
    console.print(_memory(facts))


def _memory(facts: dict[str, Any]) -> Table:
    """Return the figures of the first test about memory."""
    from engines.train.evaluation.facts import percent, reset_words, tests_of, title

    name, first = next(iter(tests_of(facts).items()))
    rows = {reset_words(reset): found for reset, found in first["reset_every"].items()}
    if "frame_only" in facts:
        only = facts["frame_only"]
        rows[f"best head without one: {only['head']}, {only['training_streams']} streams"] = only
    table = Table(f"memory is lost, {title(name)}", "frames right", "from 1 s")
    for words, found in rows.items():
        table.add_row(words, percent(found["accuracy"]), percent(found["accuracy_after_1s"]))
    return table
