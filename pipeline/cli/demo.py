"""`longtake demo`: all of it on this machine."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.commands import one_command
from pipeline.cli.shared.output import try_to_write
from pipeline.text.terminal import Terminal

app = one_command()


@app.command()
def demo(
    seconds: Annotated[float | None, typer.Option(help="End after so long; else Ctrl-C.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write a summary to this file.")
    ] = None,
    memory: Annotated[
        bool, typer.Option("--memory", help="No Kafka: broker and worker in this process.")
    ] = False,
) -> None:
    """Show it all on this machine: a real Kafka, four cameras, one worker.

    Example: `longtake demo --seconds 30 --json demo.json`
    """
    from pipeline.demo.show import demo as show

    logging.getLogger().setLevel(logging.WARNING)
    if json_file is not None:
        try_to_write(json_file)  # now, not when the show is over
    show(seconds=seconds, memory=memory, report=json_file, console=Terminal())
