"""`longtake worker`: a member of a group, until it is stopped."""

import os
from pathlib import Path
from typing import Annotated

import typer

from engines.base import EngineName
from pipeline.cli.commands import one_command
from pipeline.cli.shared.options import (
    ConfigFile,
    Group,
    KafkaFlags,
    LogFormatFlag,
    OtelFlag,
    with_kafka,
)
from pipeline.cli.shared.signals import until_signalled
from pipeline.config import (
    ChangedRules,
    Delivery,
    ForeignState,
    OnStop,
    Overload,
    Start,
    load_config,
)
from pipeline.text.log_lines import write_as

app = one_command()


@app.command()
@with_kafka
def worker(
    kafka: KafkaFlags,
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
    wait_for_topics: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Wait at the start for topics that are missing. [0]"),
    ] = None,
    start: Annotated[
        Start | None, typer.Option(help="Where partitions without memory begin. [latest]")
    ] = None,
    foreign_state: Annotated[
        ForeignState | None, typer.Option(help="What to do with another bundle's memory. [refuse]")
    ] = None,
    changed_rules: Annotated[
        ChangedRules | None,
        typer.Option(help="What to do if other settings or topics were in use before. [refuse]"),
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
    plans: Annotated[
        Path | None, typer.Option(help="A folder of `engine build --for`. [none]")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of onnxruntime. [1]")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port of /metrics, /healthz, /readyz. [9108]")
    ] = None,
    log_format: LogFormatFlag = None,
    otel: OtelFlag = False,
) -> None:
    """Work on a group's frames: predictions out, memory in the changelog.

    Settings come from flags, LONGTAKE_* in the environment, and the file; the first that says
    something wins.

    Example: `longtake worker --bootstrap 127.0.0.1:9092 --bundle actions --group actions`
    """
    from pipeline.broker.kafka.broker import KafkaBroker
    from pipeline.clock import SystemClock
    from pipeline.heap import give_large_blocks_back
    from pipeline.tracing.opening import open_tracing
    from pipeline.worker.service import Service

    settings = load_config(
        config,
        {
            **kafka,
            "bundle": bundle,
            "group": group,
            "slot": slot,
            "on_stop": on_stop,
            "wait_for_topics_s": wait_for_topics,
            "start": start,
            "foreign_state": foreign_state,
            "changed_rules": changed_rules,
            "delivery": delivery,
            "overload": overload,
            "engine": engine,
            "plans": plans,
            "engine_threads": threads,
            "metrics_port": metrics_port,
            "log_format": log_format,
            "otel": otel or None,
        },
    )
    write_as(settings.log_format)
    tracing = None
    if settings.otel:
        tracing = open_tracing(os.environ, service="longtake-worker", instance=settings.slot)
    give_large_blocks_back()
    broker = KafkaBroker(settings.group_settings, clock=SystemClock())
    service = Service(settings, broker=broker, name=broker.slot, tracing=tracing)
    until_signalled(service.stop)
    service.run()
