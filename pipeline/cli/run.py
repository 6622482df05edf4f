"""`longtake run`: files in, predictions out."""

import os
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from engines.base import Engine
from engines.load import load_engine
from engines.model.bundle import Bundle, find_bundle, load_bundle
from engines.model.verdicts import Verdicts
from pipeline.cli.commands import one_command
from pipeline.cli.shared.options import AsJson, CaFile, NoVerify, Redirects, refuse_other_than_mp4
from pipeline.cli.shared.output import open_output, print_facts, write_json_line
from pipeline.clock import SystemClock
from pipeline.media.address import Address
from pipeline.media.opening.access import Access
from pipeline.media.sources import read_labels
from pipeline.offline.file_run import FileRun, FileRunReport
from pipeline.text.terminal import Terminal

app = one_command()


@app.command()
def run(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Videos, folders of pictures, URLs (${NAME}: from the environment); for bundles of"
            " letters files of text or sequences, - for standard input."
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
    redirects: Redirects = False,
    no_verify: NoVerify = False,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Predict videos, text or sequences without a broker: files in, predictions out.

    Predictions go to --output, else to standard output (not with --json). Text: a line is a record,
    or an object of JSON Lines. Sequences: FASTA or GenBank, each is a stream. All may be .gz.

    Example: `longtake run clip.mp4 --labels clip.csv --overlay seen.mp4 --json`, or
    `longtake run session.txt --bundle ./languages`
    """
    if labels and len(labels) != len(sources):
        raise typer.BadParameter(f"{len(sources)} sources but {len(labels)} label files")
    addresses = [Address.of(source, os.environ) for source in sources]
    if overlay is not None:
        _check_overlay(overlay, addresses)
    truths = [read_labels(path) for path in labels] if labels else [None for _ in sources]
    loaded = load_bundle(find_bundle(bundle))
    with closing(_engine(loaded, threads)) as engine:
        access = Access(redirects=redirects, verify=not no_verify, ca_file=ca_file)
        going = FileRun(
            addresses, loaded, engine, truths=truths, access=access, clock=SystemClock()
        )
        console = Terminal(stderr=True)
        with open_output(output, stdout=not as_json) as out:
            _write(going, overlay, out, console)
        report = going.report()
    if as_json:
        print_facts(report.json())
    else:
        _show(report, console)


def _engine(bundle: Bundle, threads: int) -> Engine:
    return load_engine("onnxruntime", bundle, threads, verdicts=Verdicts.of(os.environ))


def _write(going: FileRun, overlay: Path | None, out: BinaryIO | None, console: Terminal) -> None:
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
                write_json_line(out, outcome.answer.value)
            progress.advance(task)


def _show(report: FileRunReport, console: Terminal) -> None:
    for (source, score), missing in zip(report.streams, report.missing, strict=True):
        right = "" if score.accuracy is None else f", {score.accuracy:.1%} right"
        gone = str(missing)
        console.print(
            f"{source.stream}: {score.predictions} predictions of {source.frames} frames{right}"
            f"{gone and f'; {gone}'}{source.fault and f'; {source.fault}'}",
        )


def _check_overlay(overlay: Path, sources: Sequence[Address]) -> None:
    if len(sources) != 1:
        raise typer.BadParameter(
            f"--overlay draws on one source, not on {len(sources)}; run each with its own"
        )
    refuse_other_than_mp4(overlay)
    source = Path(sources[0].url)
    if overlay.exists() and source.exists() and overlay.samefile(source):
        raise typer.BadParameter(f"--overlay {overlay} would replace its own source")
