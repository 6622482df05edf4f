"""The commands that run until they are stopped: demo, worker, broker."""

import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from engines.base import EngineName
from pipeline.cli.options import Bootstrap, ConfigFile, Group
from pipeline.cli.output import try_to_write
from pipeline.config import Delivery, ForeignState, OnStop, Overload, Start, load_config


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
    show(seconds=seconds, memory=memory, report=json_file, console=Console())


def worker(
    bootstrap: Bootstrap = None,
    bundle: Annotated[str | None, typer.Option(help="A shipped bundle's name, or a path.")] = None,
    group: Group = None,
    config: ConfigFile = None,
    slot: Annotated[
        str | None, typer.Option(help="Name of this worker's place, for supervised restarts.")
    ] = None,
    on_stop: Annotated[
        OnStop | None,
        typer.Option(help="At SIGTERM, with a slot: free its partitions, or keep them. [leave]"),
    ] = None,
    start: Annotated[
        Start | None, typer.Option(help="Where partitions without memory begin. [latest]")
    ] = None,
    foreign_state: Annotated[
        ForeignState | None, typer.Option(help="What to do with another bundle's memory. [refuse]")
    ] = None,
    delivery: Annotated[
        Delivery | None,
        typer.Option(
            help="Publish with the memory, or at once: a crash repeats some. [exactly_once]"
        ),
    ] = None,
    overload: Annotated[
        Overload | None,
        typer.Option(help="When behind: every frame, or the latest only. [process_all]"),
    ] = None,
    engine: Annotated[
        EngineName | None,
        typer.Option(help="What runs the bundle; auto takes a GPU where there is one. [auto]"),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of onnxruntime. [1]")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port of /metrics, /healthz, /readyz. [9108]")
    ] = None,
) -> None:
    """Work on a group's frames: predictions out, memory in the changelog.

    Settings come from flags, LONGTAKE_* in the environment, and the file; the first that says
    something wins.

    Example: `longtake worker --bootstrap 127.0.0.1:9092 --bundle actions --group actions`
    """
    from pipeline.broker.kafka.broker import KafkaBroker
    from pipeline.clock import SystemClock
    from pipeline.heap import give_large_blocks_back
    from pipeline.worker.service import Service, until_signalled

    settings = load_config(
        config,
        {
            "bootstrap": bootstrap,
            "bundle": bundle,
            "group": group,
            "slot": slot,
            "on_stop": on_stop,
            "start": start,
            "foreign_state": foreign_state,
            "delivery": delivery,
            "overload": overload,
            "engine": engine,
            "engine_threads": threads,
            "metrics_port": metrics_port,
        },
    )
    give_large_blocks_back()
    broker = KafkaBroker(settings.group_settings, clock=SystemClock())
    service = Service(settings, broker=broker, name=broker.slot)
    until_signalled(service.stop)
    service.run()


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
