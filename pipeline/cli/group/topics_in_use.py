"""`longtake topics take` and `longtake topics grow`: what changes topics that are in use."""

from contextlib import closing
from typing import Annotated

import typer

from pipeline.cli.shared.durations import read_duration
from pipeline.cli.shared.options import AsJson, ConfigFile, Group, KafkaFlags, with_kafka
from pipeline.cli.shared.output import confirm, print_facts
from pipeline.clock import SystemClock
from pipeline.config import load_config
from pipeline.text.terminal import Terminal

METADATA_AGE_MS = 300_000  # of Java's clients, librdkafka and kafka-python, if nobody sets it
WAIT_MS = 3_600_000


@with_kafka
def take(
    kafka: KafkaFlags,
    group: Group = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Take topics of predictions and dead letters over from a group that was renamed or retired.

    All workers of that group have to be stopped; they refuse to publish there from then on. What
    they have published stays.

    Example: `longtake topics take --group quiet --predictions-topic predictions`
    """
    from pipeline.offline.group_outputs import owners_of, take_outputs

    settings = load_config(config, {**kafka, "group": group})
    clock, topics = SystemClock(), settings.topics
    before = owners_of(settings.group_settings, clock=clock)
    said = [
        f"topic {topics.of(kind)} of {'no group' if owner is None else f'group {owner}'}"
        for kind, owner in before.items()
        if owner != settings.group
    ]
    if said and not yes:
        confirm(f"Give group {settings.group} {' and '.join(said)}?")
    take_outputs(settings.group_settings, before, clock=clock)
    if as_json:
        taken = {
            topics.of(kind): {"group": settings.group, "before": one}
            for kind, one in before.items()
        }
        print_facts({"topics": taken})
    else:
        names = " and ".join(topics.of(kind) for kind in before)
        Terminal(stderr=True).say(f"{names} belong to group {settings.group}")


@with_kafka
def grow(
    kafka: KafkaFlags,
    partitions: Annotated[
        int, typer.Option(min=2, max=10_000, help="Of each: a multiple of the present count.")
    ],
    metadata_age: Annotated[
        int | None,
        typer.Option(
            parser=read_duration,
            metavar="DURATION",
            help="The longest metadata.max.age.ms of all producers; that of cameras is 30s. [5m]",
        ),
    ] = None,
    wait: Annotated[
        int | None,
        typer.Option(parser=read_duration, metavar="DURATION", help="For workers, at most. [1h]"),
    ] = None,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Only mark this group, before another one grows.")
    ] = False,
    group: Group = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a running group more partitions. Each stream's memory moves to where its key belongs.

    Workers go on until the old partitions are drained; then the command asks to stop them, moves
    the streams, and they can be started again. It can be interrupted and run again at any time.

    Example: `longtake topics grow --group actions --partitions 12 --metadata-age 30s`
    """
    from pipeline.broker.kafka.group import KafkaGrowth
    from pipeline.cli.group.growth_lines import await_stop, drain
    from pipeline.cli.shared.progress import Stages
    from pipeline.offline.group_growth import FilledPartition, GroupGrowth

    settings, clock = load_config(config, {**kafka, "group": group}), SystemClock()
    age_s, wait_s = (metadata_age or METADATA_AGE_MS) / 1000, (wait or WAIT_MS) / 1000
    ttl_ms = round(settings.stream_ttl_s * 1000)
    with closing(KafkaGrowth(settings.group_settings, clock=clock)) as log:
        growth = GroupGrowth(
            log, group=settings.group, partitions=partitions, ttl_ms=ttl_ms, clock=clock
        )
        plan = growth.check(only_prepare=prepare)
        facts = {"group": settings.group, "from": plan.growth.before, "to": plan.growth.after}
        words = (
            f"group {settings.group} from {plan.growth.before} to {plan.growth.after} partitions"
        )
        moved: list[FilledPartition] = []
        with Stages(Terminal(stderr=True)) as stages:
            if plan.finished:
                stages.say(f"{words}: it is grown already")
            else:
                stages.say(f"{words}: {plan.moving} of {plan.streams} streams move")
                growth.prepare(plan)
                if not prepare:
                    growth.grow(plan)
                    drain(growth, plan, stages, metadata_age_s=age_s, wait_s=wait_s)
                    await_stop(growth, stages, group=settings.group, wait_s=wait_s)
                    moved = growth.move(plan)
                    count = sum(one.streams for one in moved)
                    stages.say(f"{words}: {count} streams moved; the workers can be started again")
            for source, name in sorted({(o.source, name) for o in moved for name in o.stayed}):
                stages.say(f"{name} stays in partition {source}: its producer uses no murmur2")
    if as_json:
        rows = [{"partition": o.partition, "from": o.source, "streams": o.streams} for o in moved]
        print_facts(facts | {"finished": plan.finished or not prepare, "moved": rows})
