"""`python -m tests.chaos`: prints the result as a table, and exits with 1 if it fails."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from engines.base import EngineName
from pipeline.config import Delivery, Overload
from tests.chaos.run import Plan, run
from tests.chaos.verdict import Verdict


def main(
    minutes: Annotated[float, typer.Option(help="How long faults happen.")] = 3.0,
    seed: Annotated[int, typer.Option(help="Of cameras and faults.")] = 1,
    workers: Annotated[int, typer.Option(min=2, help="Every other one has a slot.")] = 3,
    streams: Annotated[int, typer.Option(min=1)] = 24,
    fps: Annotated[float, typer.Option(help="Frames a second, of all streams.")] = 70.0,
    engine: Annotated[EngineName, typer.Option(help="tensorrt runs on doubles.")] = "onnxruntime",
    delivery: Annotated[Delivery, typer.Option()] = Delivery.EXACTLY_ONCE,
    overload: Annotated[Overload, typer.Option()] = Overload.PROCESS_ALL,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep logs in this empty folder.")] = None,
) -> None:
    """Cause all kinds of faults on a real Kafka, and count wrong results.

    Half of the cameras publish H.264. Ends with 1 unless nothing is lost, repeated, different,
    invented, unchained or unaccounted; with low latency repeats are allowed.

    Example: `python -m tests.chaos --minutes 10 --seed 7 --json chaos.json`
    """
    console = Console()
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        seconds=60 * minutes,
        seed=seed,
        workers=workers,
        streams=streams,
        fps=fps,
        engine=engine,
        delivery=delivery,
        overload=overload,
    )
    with console.status("") as status:
        report = run(plan, lambda text: status.update(f"seed {seed}: {text}"), folder=keep)
    console.print(report.table(), highlight=False)
    for kind in Verdict.KINDS:
        for example in report.verdict.examples.get(kind, []):
            console.print(f"[red]{kind}[/]: {example}", highlight=False, soft_wrap=True)
    if json_file is not None:
        json_file.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    raise typer.Exit(0 if report.clean else 1)


if __name__ == "__main__":
    typer.run(main)
