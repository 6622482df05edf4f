"""`python -m engines.train.letters FOLDER` fetches the data of the recipes of letters, 11 MB."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from engines.train.letters.packages import fetch_all

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def fetch(folder: Annotated[Path, typer.Argument(help="Where the packages are kept.")]) -> None:
    """Fetch the data of the recipes `languages` and `strands`, and check that it is the same."""
    fetch_all(folder, _say)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    app()
