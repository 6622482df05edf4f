"""`longtake broker`: a real Apache Kafka on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.commands import one_command

app = one_command()


@app.command()
def broker(
    nodes: Annotated[int, typer.Option(min=1, max=5, help="How many brokers.")] = 1,
    port: Annotated[int, typer.Option(help="Port of the first; 0 takes free ones.")] = 9092,
    data: Annotated[
        Path | None, typer.Option(help="Keep the logs here; else they go with the broker.")
    ] = None,
) -> None:
    """Run a real Apache Kafka on this machine, on loopback, until Ctrl-C.

    Prints `bootstrap 127.0.0.1:PORT` once it serves.

    Example: `longtake broker --port 9092 --data ./kafka-data`
    """
    from pipeline.local.command import broker as run_broker

    run_broker(nodes, port, data)
