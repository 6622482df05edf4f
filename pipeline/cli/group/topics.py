"""`longtake topics`: create, check, take over and grow the topics of a group."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline.broker.kafka.privileges import Command
from pipeline.broker.kafka.topic_rules import TopicReport
from pipeline.cli.commands import command_group
from pipeline.cli.group.topics_in_use import grow, take
from pipeline.cli.shared.durations import UNITS_S, read_duration
from pipeline.cli.shared.options import AsJson, ConfigFile, Group, KafkaFlags, with_kafka
from pipeline.cli.shared.output import print_facts
from pipeline.clock import SystemClock
from pipeline.config import WorkerConfig, load_config
from pipeline.errors import ForeignOutputError, NotPermittedError
from pipeline.text.terminal import Terminal

app = command_group("topics", about="Create, check, take over and grow the topics of a group.")

COMPACTED = ("state", "cameras")


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
        typer.Option(parser=read_duration, metavar="DURATION", help="Of frames: 90m, 6h, 7d. [6h]"),
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
    wrong = admin.verdict(reports) or _foreign(settings)
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

    Exit code 11 or 12 says that something is wrong with them, 35 that they belong to another group,
    28 that something is not permitted.

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
    wrong = admin.verdict(reports) or _foreign(settings)
    admin.close()
    if wrong is not None:
        raise wrong


app.command()(take)
app.command()(grow)


def _foreign(settings: WorkerConfig) -> ForeignOutputError | None:
    """Return the error of output topics of another group; None also if we may not know."""
    from pipeline.offline.group_outputs import foreign_outputs, owners_of

    group = settings.group_settings
    try:
        return foreign_outputs(group, owners_of(group, clock=SystemClock()))
    except NotPermittedError as exc:
        hint = f"whether the topics belong to another group is not checked: {exc}"
        Terminal(stderr=True).say(hint)
        return None


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
