"""`python -m engines.train actions` makes the shipped bundle, `clips` the sample clips."""

import json
import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from engines.train.clip import write_clips
from engines.train.recipe import Run, make_bundle

app = typer.Typer(add_completion=False, no_args_is_help=True)
console = Console()


@app.command()
def actions(
    out: Annotated[Path, typer.Option(help="folder of the bundle")],
    work: Annotated[Path, typer.Option(help="folder of what was learnt so far")],
    seed: Annotated[int, typer.Option(help="of everything that is drawn")] = 0,
    effort: Annotated[float, typer.Option(help="share of the usual training", min=0.001)] = 1.0,
) -> None:
    """Train the bundle of ten actions, verify it, measure it and write it."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, we do not
    with Progress(
        *Progress.get_default_columns(), TimeElapsedColumn(), console=console
    ) as progress:
        training = make_bundle(out, Run(work, seed=seed, effort=effort, progress=progress))
    console.print_json(json.dumps(training))


@app.command()
def clips(out: Annotated[Path, typer.Option(help="folder of the clips")]) -> None:
    """Film the four sample clips of people whom training never saw, with a label per frame."""
    for path in write_clips(out):
        console.print(f"{path}: {path.stat().st_size / 1e3:.0f} KB")


if __name__ == "__main__":
    app()
