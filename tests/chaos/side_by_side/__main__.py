"""`python -m tests.chaos.side_by_side`."""

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.local.cluster import LocalKafka
from tests.chaos.side_by_side.running import run
from tests.chaos.side_by_side.sides import two_sides
from tests.engines.bundles import write_tiny


def main(
    minutes: Annotated[float, typer.Option(help="How long both groups work.")] = 2.0,
    seed: Annotated[int, typer.Option(help="Of the kills.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep logs in this empty folder.")] = None,
) -> None:
    """Run two groups with two models on the same cameras, and see that nothing mixes.

    Ends with 1 unless each frame has its one prediction or dead letter in each group, both audits
    are clean, each record names its group, and only the group that stands still raises alarms
    (where Prometheus is installed).

    Example: `python -m tests.chaos.side_by_side --minutes 10`
    """
    console = Console()
    folder = keep or Path(tempfile.mkdtemp(prefix="longtake-side-by-side-"))
    folder.mkdir(parents=True, exist_ok=True)
    tiny = write_tiny(folder / "tiny")
    sides = two_sides("", ("actions", str(tiny)))
    with LocalKafka() as kafka, console.status("") as status:
        outcome = run(
            kafka.connection,
            sides,
            "frames",
            seconds=60 * minutes,
            seed=seed,
            folder=folder,
            prometheus=shutil.which("prometheus"),
            say=lambda text: status.update(f"seed {seed}: {text}"),
        )
    console.print_json(json.dumps(asdict(outcome)))
    for one in outcome.wrong:
        console.print(f"wrong: {one}", style="red", highlight=False, soft_wrap=True)
    if outcome.alarms is None:
        console.print("alarms: not judged, there is no Prometheus here")
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(outcome), indent=1) + "\n")
    raise typer.Exit(1 if outcome.wrong else 0)


if __name__ == "__main__":
    typer.run(main)
