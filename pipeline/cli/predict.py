"""`longtake run`: files in, predictions out."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from engines.bundle import find_bundle, load_bundle
from engines.load import load_engine
from pipeline.cli.options import AsJson
from pipeline.errors import OutputError, SourceError


def run(
    sources: Annotated[list[str], typer.Argument(help="Video files, folders of pictures, URLs.")],
    output: Annotated[
        Path | None, typer.Option(help="Write predictions here, one JSON object a line.")
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

    Example: `longtake run clip.mp4 --labels clip.csv --json`
    """
    from pipeline.run import SourceReport, predict_sources, stream_names
    from pipeline.scoring import Score
    from pipeline.sources import read_labels

    if labels and len(labels) != len(sources):
        raise typer.BadParameter(f"{len(sources)} sources but {len(labels)} label files")
    truths = [read_labels(path) for path in labels] if labels else [None for _ in sources]
    loaded = load_bundle(find_bundle(bundle))
    engine = load_engine("onnxruntime", loaded, threads=threads)
    reports = [SourceReport(name) for name in stream_names(sources)]
    scores = [Score(truth) for truth in truths]
    began_s = time.monotonic()
    console = Console(stderr=True)
    try:
        out = output.open("wb") if output else None if as_json else sys.stdout.buffer
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.completed} frames"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal or out is sys.stdout.buffer,
        ) as progress:
            task = progress.add_task("frames", total=None)
            for prediction in predict_sources(
                sources, bundle=loaded, engine=engine, reports=reports
            ):
                scores[prediction.source].enter(prediction.frame, prediction.label)
                if out is not None:
                    out.write(prediction.value + b"\n")
                progress.advance(task)
        if out is not None:
            out.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputError(f"cannot write {output or 'standard output'}: {exc.strerror}") from exc
    for source, report, truth in zip(sources, reports, truths, strict=True):
        if truth is not None and len(truth) != report.frames:
            raise SourceError(
                f"{source} has {report.frames} frames, its label file {len(truth)} rows; every"
                " frame has one row. Are these labels of another video?"
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
