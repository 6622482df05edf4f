"""`longtake topics`: create and check the topics of a group."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pipeline.cli.commands import command_group
from pipeline.cli.options import AsJson, ConfigFile, Group, KafkaFlags, with_kafka
from pipeline.cli.output import print_facts
from pipeline.config import load_config
from pipeline.terminal import Terminal

app = command_group("topics", about="Create and check the topics of a group.")


@app.command()
@with_kafka
def create(
    kafka: KafkaFlags,
    group: Group = None,
    partitions: Annotated[int, typer.Option(min=1, max=10_000, help="Of each topic.")] = 4,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Create the topics that are missing: frames, predictions, dead letters, the group's state.

    Example: `longtake topics create --group actions --partitions 8`
    """
    _topics(kafka, group, config, partitions=partitions, as_json=as_json)


@app.command()
@with_kafka
def check(
    kafka: KafkaFlags,
    group: Group = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Look at the topics of a group; exit code 11 or 12 says that something is wrong with them.

    Example: `longtake topics check --group actions --json`
    """
    _topics(kafka, group, config, partitions=None, as_json=as_json)


def _topics(
    kafka: KafkaFlags,
    group: str | None,
    config: Path | None,
    *,
    partitions: int | None,
    as_json: bool,
) -> None:
    from pipeline.broker.kafka.topics import TopicAdmin

    settings = load_config(config, {**kafka, "group": group})
    admin = TopicAdmin(settings.connection, settings.topics)
    reports = admin.check() if partitions is None else admin.create(partitions)
    if as_json:
        shown = ("name", "partitions", "created", "problem", "danger")
        rows = [{name: getattr(report, name) for name in shown} for report in reports]
        print_facts({"topics": rows})
    else:
        table = Table("topic", "for", "partitions", "")
        for r in reports:
            note = r.problem or r.danger or ("created" if r.created else "ok")
            table.add_row(r.name, r.role.replace("_", " "), str(r.partitions), note)
        Terminal().print(table)
    admin.require()
