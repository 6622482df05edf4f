"""`longtake run`: files in, predictions out."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from engines.load import load_engine
from engines.model.bundle import find_bundle, load_bundle
from pipeline.cli.commands import one_command
from pipeline.cli.options import AsJson
from pipeline.cli.output import open_output
from pipeline.clock import SystemClock
from pipeline.media.address import Address
from pipeline.media.sources import read_labels
from pipeline.offline.file_run import FileRun, FileRunReport

app = one_command()


@app.command()
def run(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Video files, folders of pictures, URLs. ${NAME}: from the environment."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Write predictions here, one JSON object a line.")
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option(help="Draw what the model says on the video, into this MP4.")
    ] = None,
    bundle: Annotated[str, typer.Option(help="A shipped bundle's name, or a path.")] = "actions",
    labels: Annotated[
        list[Path] | None,
        typer.Option(help="CSV (frame,label) to score against, one per source in their order."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Engine threads.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Predict videos without a broker: files in, predictions out.

    Predictions go to --output, else to standard output (not with --json).

    Example: `longtake run clip.mp4 --labels clip.csv --overlay seen.mp4 --json`
    """
    if labels and len(labels) != len(sources):
        raise typer.BadParameter(f"{len(sources)} sources but {len(labels)} label files")
    addresses = [Address.of(source, os.environ) for source in sources]
    if overlay is not None:
        _check_overlay(overlay, addresses)
    truths = [read_labels(path) for path in labels] if labels else [None for _ in sources]
    loaded = load_bundle(find_bundle(bundle))
    with closing(load_engine("onnxruntime", loaded, threads=threads)) as engine:
        going = FileRun(addresses, loaded, engine, truths=truths, clock=SystemClock())
        console = Console(stderr=True)
        with open_output(output, stdout=not as_json) as out:
            _write(going, overlay, out, console)
        report = going.report()
    if as_json:
        typer.echo(json.dumps(report.json()))
    else:
        _show(report, console)


def _write(going: FileRun, overlay: Path | None, out: BinaryIO | None, console: Console) -> None:
    """Predict, and count frames unless predictions go to the same terminal."""
    quiet = not console.is_terminal or out is sys.stdout.buffer
    with (
        Progress(
            SpinnerColumn(),
            TextColumn("{task.completed} frames"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=quiet,
        ) as progress,
        nullcontext() if overlay is None else going.film(overlay) as film,
    ):
        task = progress.add_task("frames", total=None)
        for outcome in going.run(film):
            if out is not None and outcome.answer is not None:
                out.write(outcome.answer.value + b"\n")
            progress.advance(task)


def _show(report: FileRunReport, console: Console) -> None:
    for (source, score), missing in zip(report.streams, report.missing, strict=True):
        right = "" if score.accuracy is None else f", {score.accuracy:.1%} right"
        gone = str(missing)
        console.print(
            f"{source.stream}: {score.predictions} predictions of {source.frames} frames{right}"
            f"{gone and f'; {gone}'}",
            highlight=False,
        )


def _check_overlay(overlay: Path, sources: Sequence[Address]) -> None:
    if len(sources) != 1:
        raise typer.BadParameter(
            f"--overlay draws on one source, not on {len(sources)}; run each with its own"
        )
    if overlay.suffix.lower() != ".mp4":
        raise typer.BadParameter(f"--overlay writes an MP4; {overlay} must end in .mp4")
    source = Path(sources[0].url)
    if overlay.exists() and source.exists() and overlay.samefile(source):
        raise typer.BadParameter(f"--overlay {overlay} would replace its own source")
