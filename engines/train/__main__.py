"""`python -m engines.train --out FOLDER` writes the sample clips."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from engines.train.people.sample_clips import write_clips

app = typer.Typer(add_completion=False, no_args_is_help=True)
console = Console()


@app.command()
def clips(out: Annotated[Path, typer.Option(help="folder of the clips")]) -> None:
    """Write the four sample clips of people that training never used, with a label per frame."""
    for path in write_clips(out):
        console.print(f"{path}: {path.stat().st_size / 1e3:.0f} KB")


if __name__ == "__main__":
    app()
