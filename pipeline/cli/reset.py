"""`longtake reset`: forget a stream, move a partition."""

import json
import sys
import time
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.console import Console

from pipeline.cli.commands import command_group
from pipeline.cli.options import AsJson, Bootstrap, ConfigFile, Group
from pipeline.clock import SystemClock
from pipeline.config import WorkerConfig, load_config
from pipeline.errors import ConfigError
from pipeline.judging.moving import Move, find_target, move, require_manifest
from pipeline.records import Changelog
from pipeline.wire.changelog import SNAPSHOT_PREFIX, snapshot_key
from pipeline.wire.frames import is_stream_id

app = command_group("reset", about="Forget a stream, move a partition.")


@app.command()
def stream(
    names: Annotated[list[str], typer.Argument(help="The streams' ids.")],
    partition: Annotated[
        int | None, typer.Option(min=0, help="Where its producer writes it, if that is no murmur2.")
    ] = None,
    as_json: AsJson = False,
    bootstrap: Bootstrap = None,
    group: Group = None,
    config: ConfigFile = None,
) -> None:
    """End streams: their memory is forgotten, and the next frame of each starts afresh.

    It takes a place among the frames, so workers may go on. A stream is ended where the group
    remembers it, else where `longtake camera` would publish it.

    Example: `longtake reset stream gate yard`
    """
    from pipeline.broker.kafka.publisher import KafkaPublisher

    for name in names:
        if not is_stream_id(name):
            raise typer.BadParameter(
                f"{name!r}; wanted 1 to 200 characters of A-Z a-z 0-9 . _ : -", param_hint="NAMES"
            )
    settings = load_config(config, {"bootstrap": bootstrap, "group": group})
    changelogs = _read(settings)
    if partition is not None:
        _require(partition, changelogs)
    publisher = KafkaPublisher(settings.connection, topic=settings.frames_topic)
    ended = []
    for name in names:
        ours = publisher.partition_of(name)
        lives = [n for n, log in changelogs.items() if snapshot_key(name) in log.records]
        for number in [partition] if partition is not None else lives or [ours]:
            offset = publisher.end(name, number)
            ended.append({"stream": name, "partition": number, "offset": offset})
            _hint(f"{name}: ended in partition {number}, at offset {offset}")
        _warn(name, lives, ours=ours, asked=partition)
    publisher.close()
    if as_json:
        typer.echo(json.dumps({"ended": ended}))


def _warn(name: str, lives: list[int], *, ours: int, asked: int | None) -> None:
    """Say where the group remembers the stream, if that is not where one would look for it."""
    places = ", ".join(str(number) for number in lives)
    if not lives:
        _hint(f"{name}: the group remembers no such stream")
    elif asked is not None and lives != [asked]:
        _hint(f"{name}: its memory is in partition {places}; without --partition it is ended there")
    elif asked is None and lives != [ours]:
        _hint(
            f"{name}: its memory was in partition {places}, longtake camera would publish it to"
            f" {ours}: its producer has another partitioner"
        )


@app.command()
def partition(
    number: Annotated[int, typer.Argument(min=0, help="The partition.", metavar="PARTITION")],
    to: Annotated[str, typer.Option(help="Where to go on: an offset, earliest or latest.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
    bootstrap: Bootstrap = None,
    group: Group = None,
    config: ConfigFile = None,
) -> None:
    """Move a partition: its next worker goes on elsewhere, and its streams start afresh.

    All workers of the group have to be stopped. A new life begins, which audit reports apart.

    Example: `longtake reset partition 3 --to earliest --group actions`
    """
    from pipeline.broker.kafka.group import KafkaGroup

    settings = load_config(config, {"bootstrap": bootstrap, "group": group})
    changelogs = _read(settings)
    _require(number, changelogs)
    changelog = changelogs[number]
    before = require_manifest(number, changelog)
    target = find_target(to, changelog)
    crew = KafkaGroup(settings.group_settings)
    crew.require_empty()
    streams = sum(key.startswith(SNAPSHOT_PREFIX) for key in changelog.records)
    what = (
        f"partition {number} of group {settings.group} from offset {before.next_offset} to"
        f" {target}: the memory of {streams} streams is forgotten"
    )
    if not yes:
        _confirm(what)
    to_be = Move(number, target, *_ends(settings, number))
    checkpoint = move(_read(settings)[number], to_be, now_s=time.time())
    crew.commit(checkpoint)
    life = checkpoint.parts[0].manifest.life
    _hint(f"moved {what}, life {life} begins")
    if as_json:
        moved = {"partition": number, "from": before.next_offset, "to": target, "life": life}
        typer.echo(json.dumps(moved | {"streams": streams}))


def _ends(settings: WorkerConfig, number: int) -> tuple[int, Mapping[int, int]]:
    """Where a partition's predictions end now, and all partitions' dead letters."""
    from pipeline.broker.kafka.readers.span_reader import SpanReader

    group, topics = settings.group_settings, settings.topics
    reader = SpanReader(group.connection, stall_s=group.stall_s, clock=SystemClock())
    predictions = reader.spans(topics.predictions, [number])
    letters = reader.spans(topics.dead_letters, reader.partitions(topics.dead_letters))
    reader.close()
    return predictions[number].stop, {number: span.stop for number, span in letters.items()}


def _confirm(what: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigError(f"{what}. Nobody is there to be asked: say --yes")
    if not typer.confirm(f"Move {what}?", err=True):
        _hint("nothing was changed")
        raise typer.Abort


def _read(settings: WorkerConfig) -> Mapping[int, Changelog]:
    from pipeline.broker.kafka.broker import KafkaBroker

    broker = KafkaBroker(settings.group_settings, clock=SystemClock())
    partitions = range(broker.partition_count())
    reader = broker.changelog()
    try:
        return reader.read(partitions)
    finally:
        reader.close()


def _require(number: int, changelogs: Mapping[int, Changelog]) -> None:
    if number not in changelogs:
        raise ConfigError(f"there is no partition {number}: there are {len(changelogs)}, from 0 on")


def _hint(text: str) -> None:
    Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)
