"""`longtake topics`: create, check and grow the topics of a group."""

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline.broker.kafka.privileges import Command
from pipeline.broker.kafka.topic_rules import TopicReport
from pipeline.cli.commands import command_group
from pipeline.cli.options import AsJson, ConfigFile, Group, KafkaFlags, with_kafka
from pipeline.cli.output import print_facts
from pipeline.clock import SystemClock
from pipeline.config import WorkerConfig, load_config
from pipeline.errors import NotPermittedError
from pipeline.text.terminal import Terminal

app = command_group("topics", about="Create, check and grow the topics of a group.")

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
COMPACTED = ("state", "cameras")
MAX_RETENTION_S = 100 * 365 * 86_400
METADATA_AGE_MS = 300_000  # of Java's clients, librdkafka and kafka-python, if nobody sets it
WAIT_MS = 3_600_000


def _retention(text: str) -> int:
    """Read a duration such as 90m, 6h or 7d. Returns milliseconds."""
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text)
    seconds = int(found[1]) * UNITS_S[found[2]] if found else 0
    if not 0 < seconds <= MAX_RETENTION_S:
        raise typer.BadParameter(f"{text!r}; wanted a number and s, m, h, d or w, such as 6h or 7d")
    return seconds * 1000


@app.command()
@with_kafka
def create(
    kafka: KafkaFlags,
    group: Group = None,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Of each but cameras. [as many as frames, else 4]"),
    ] = None,
    replication_factor: Annotated[
        int | None, typer.Option(min=1, max=100, help="Copies of each. [the broker's default]")
    ] = None,
    retention: Annotated[
        int | None,
        typer.Option(parser=_retention, metavar="DURATION", help="Of frames: 90m, 6h, 7d. [6h]"),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Create missing topics: frames, predictions, dead letters, the group's state, cameras' states.

    If a topic that exists does not fit, nothing is created.

    Example: `longtake topics create --group actions --partitions 8 --retention 1d`
    """
    from pipeline.broker.kafka.topics import TopicAdmin

    settings = load_config(config, {**kafka, "group": group})
    admin = TopicAdmin(settings.connection, settings.topics)
    reports = admin.create(
        partitions, replication_factor=replication_factor, retention_ms=retention
    )
    _show(reports, as_json=as_json)
    wrong = admin.verdict(reports)
    admin.close()
    if wrong is not None:
        raise wrong


@app.command()
@with_kafka
def check(
    kafka: KafkaFlags,
    group: Group = None,
    as_: Annotated[
        str | None,
        typer.Option("--as", metavar="COMMAND", help="Also check what this command may not do."),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Look at the topics of a group, what is wrong with them, and how to mend it.

    Exit code 11 or 12 says that something is wrong with them, 28 that something is not permitted.

    Example: `longtake topics check --group actions --as worker`
    """
    settings = load_config(config, {**kafka, "group": group})
    if as_ is not None:
        _check_as(_command(as_), settings, as_json=as_json)
        return
    from pipeline.broker.kafka.topics import TopicAdmin

    admin = TopicAdmin(settings.connection, settings.topics)
    reports = admin.check()
    _show(reports, as_json=as_json)
    wrong = admin.verdict(reports)
    admin.close()
    if wrong is not None:
        raise wrong


@app.command()
@with_kafka
def grow(
    kafka: KafkaFlags,
    partitions: Annotated[
        int, typer.Option(min=2, max=10_000, help="Of each: a multiple of the present count.")
    ],
    metadata_age: Annotated[
        int | None,
        typer.Option(
            parser=_retention,
            metavar="DURATION",
            help="The longest metadata.max.age.ms of all producers; that of cameras is 30s. [5m]",
        ),
    ] = None,
    wait: Annotated[
        int | None,
        typer.Option(parser=_retention, metavar="DURATION", help="For workers, at most. [1h]"),
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
    from pipeline.cli.growth_lines import await_stop, drain
    from pipeline.cli.progress import Stages
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


def _command(text: str) -> Command:
    try:
        return Command(text)
    except ValueError:
        known = ", ".join(Command)
        raise typer.BadParameter(f"{text!r}; known are {known}", param_hint="--as") from None


def _check_as(command: Command, settings: WorkerConfig, *, as_json: bool) -> None:
    """Compare what a command needs with what our user may do."""
    from pipeline.broker.kafka.permissions import compare

    connection = settings.connection
    found = compare(connection, command, settings.topics, settings.group)
    if as_json:
        rows: list[Mapping[str, Any]] = [
            {
                "resource": str(one.privilege.resource_kind),
                "name": one.privilege.name,
                "prefixed": one.privilege.prefixed,
                "needs": sorted(one.privilege.operations),
                "lacking": list(one.lacking),
            }
            for one in found
        ]
        print_facts({"command": command, "privileges": rows})
    else:
        table = Table("resource", "needs", "lacking")
        for one in found:
            needs = ", ".join(sorted(one.privilege.operations))
            table.add_row(one.resource, needs, ", ".join(one.lacking) or "nothing")
        out = Terminal()
        out.print(table)
        for one in found:
            if one.lacking:
                out.print(one.mend(connection), soft_wrap=True)
    lacking = [f"{', '.join(one.lacking)} on {one.resource}" for one in found if one.lacking]
    if lacking:
        raise NotPermittedError(
            f"{connection.security.user} lacks for `longtake {command}`: {'; '.join(lacking)}"
        )


def _show(reports: Sequence[TopicReport], *, as_json: bool) -> None:
    """Print a table, and below it the commands that mend what is wrong; or one JSON object."""
    if as_json:
        rows = [asdict(report) for report in reports]
        print_facts({"topics": rows})
        return
    table = Table("topic", "for", "partitions", "copies", "kept", "")
    for one in reports:
        note = one.problem or one.danger or ("created" if one.created else one.unchecked or "ok")
        cells = (one.name, one.role.replace("_", " "), one.partitions, one.replicas, _kept(one))
        table.add_row(*(str(cell) for cell in (*cells, note)))
    out = Terminal()
    out.print(table)
    for one in reports:
        for command in one.mend:
            out.print(command, soft_wrap=True)


def _kept(report: TopicReport) -> str:
    """How long records are kept, as people write it."""
    kept_ms = report.retention_ms
    if kept_ms is None or report.role in COMPACTED:
        return "" if kept_ms is None else "newest of each"
    if kept_ms < 0:
        return "for ever"
    unit = next(
        (one for one in ("d", "h", "m") if kept_ms % (UNITS_S[one] * 1000) == 0 and kept_ms), "s"
    )
    return f"{kept_ms // (UNITS_S[unit] * 1000)}{unit}"
