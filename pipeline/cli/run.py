"""`longtake run`: files in, predictions out."""

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from engines.load import load_engine
from engines.model.bundle import find_bundle, load_bundle
from pipeline.cli.commands import one_command
from pipeline.cli.options import AsJson
from pipeline.errors import OutputError, SourceError
from pipeline.media.address import Address

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
    from pipeline.media.sources import open_source, read_labels
    from pipeline.offline.run import SourceReport, predict_sources, serve_files, stream_names
    from pipeline.offline.scoring import Score
    from pipeline.wire.predictions import Prediction

    if labels and len(labels) != len(sources):
        raise typer.BadParameter(f"{len(sources)} sources but {len(labels)} label files")
    addresses = [Address.of(source, os.environ) for source in sources]
    if overlay is not None:
        _check_overlay(overlay, addresses)
    truths = [read_labels(path) for path in labels] if labels else [None for _ in sources]
    loaded = load_bundle(find_bundle(bundle))
    engine = load_engine("onnxruntime", loaded, threads=threads)
    reports = [SourceReport(name) for name in stream_names(addresses)]
    scores = [Score(truth) for truth in truths]
    opened = [open_source(address) for address in addresses]
    began_s = time.monotonic()
    console = Console(stderr=True)
    try:
        out = output.open("wb") if output else None if as_json else sys.stdout.buffer
        with (
            ExitStack() as ending,
            Progress(
                SpinnerColumn(),
                TextColumn("{task.completed} frames"),
                TimeElapsedColumn(),
                console=console,
                transient=True,
                disable=not console.is_terminal or out is sys.stdout.buffer,
            ) as progress,
        ):
            film = None
            if overlay is not None:
                from pipeline.offline.overlay.film import Film

                film = ending.enter_context(Film(overlay, bundle=loaded, truth=truths[0]))
                opened = [film.watch(opened[0])]
            task = progress.add_task("frames", total=None)
            for outcome in predict_sources(
                opened, model=serve_files(loaded, engine), reports=reports
            ):
                answer = outcome.answer
                if answer is not None:
                    scores[outcome.source].enter(outcome.frame, loaded.labels[answer.label])
                    if out is not None:
                        out.write(answer.value + b"\n")
                if film is not None:
                    said = None if answer is None else Prediction.read(answer.value)
                    film.show(outcome.frame, said, outcome.features())
                progress.advance(task)
        if out is not None:
            out.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputError(f"cannot write {output or 'standard output'}: {exc.strerror}") from exc
    for address, report, truth in zip(addresses, reports, truths, strict=True):
        if truth is not None and len(truth) != report.frames:
            raise SourceError(
                f"{address.shown} has {report.frames} frames, its label file {len(truth)} rows;"
                " every frame has one row. Are these labels of another video?"
            )
    summary = {
        "bundle": loaded.id,
        "seconds": round(time.monotonic() - began_s, 3),
        "streams": {
            report.stream: {"frames": report.frames, "fates": dict(report.fates)} | score.summary()
            for report, score in zip(reports, scores, strict=True)
        },
    }
    if as_json:
        typer.echo(json.dumps(summary))
        return
    for report, score in zip(reports, scores, strict=True):
        right = "" if score.accuracy is None else f", {score.accuracy:.1%} right"
        console.print(
            f"{report.stream}: {score.predictions} predictions of {report.frames} frames{right}",
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
