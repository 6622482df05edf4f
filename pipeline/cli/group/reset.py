"""`longtake reset`: forget a stream, move a partition."""

from typing import Annotated

import typer

from pipeline.cli.commands import command_group
from pipeline.cli.shared.options import AsJson, ConfigFile, Group, KafkaFlags, with_kafka
from pipeline.cli.shared.output import confirm, print_facts
from pipeline.clock import SystemClock
from pipeline.config import load_config
from pipeline.offline.group_reset import (
    EndedStream,
    PlannedMove,
    end_streams,
    move_partitions,
    plan_moves,
)
from pipeline.text.terminal import Terminal
from pipeline.wire.frames import is_stream_id

app = command_group("reset", about="Forget a stream, move a partition.")


@app.command()
@with_kafka
def stream(
    kafka: KafkaFlags,
    names: Annotated[list[str], typer.Argument(help="The streams' ids.")],
    partition: Annotated[
        int | None, typer.Option(min=0, help="Where its producer writes it, if that is no murmur2.")
    ] = None,
    as_json: AsJson = False,
    group: Group = None,
    config: ConfigFile = None,
) -> None:
    """End streams: their memory is forgotten, and the next frame of each starts afresh.

    It takes a place among the frames, so workers may go on. A stream is ended where the group
    remembers it, else where `longtake camera` would publish it.

    Example: `longtake reset stream gate yard`
    """
    for name in names:
        if not is_stream_id(name):
            raise typer.BadParameter(
                f"{name!r}; wanted 1 to 200 characters of A-Z a-z 0-9 . _ : -", param_hint="NAMES"
            )
    settings = load_config(config, {**kafka, "group": group})
    ended = []
    group_settings, clock = settings.group_settings, SystemClock()
    for one in end_streams(group_settings, names, partition=partition, clock=clock):
        for number, offset in one.offsets.items():
            ended.append({"stream": one.stream, "partition": number, "offset": offset})
            _hint(f"{one.stream}: ended in partition {number}, at offset {offset}")
        _warn(one, asked=partition)
    if as_json:
        print_facts({"ended": ended})


def _warn(ended: EndedStream, *, asked: int | None) -> None:
    """Say where the group remembers the stream, if that is not where one would look for it."""
    name, lives = ended.stream, ended.remembered_in
    places = ", ".join(str(number) for number in lives)
    if not lives:
        _hint(f"{name}: the group remembers no such stream")
    elif asked is not None and lives != (asked,):
        _hint(f"{name}: its memory is in partition {places}; without --partition it is ended there")
    elif asked is None and lives != (ended.usual,):
        _hint(
            f"{name}: its memory was in partition {places}, longtake camera would publish it to"
            f" {ended.usual}: its producer has another partitioner"
        )


@app.command()
@with_kafka
def partition(
    kafka: KafkaFlags,
    to: Annotated[
        str,
        typer.Option(help="Where to go on: an offset, earliest, latest, committed or predicted."),
    ],
    number: Annotated[
        int | None, typer.Argument(min=0, help="The partition.", metavar="PARTITION")
    ] = None,
    every: Annotated[
        bool, typer.Option("--every", help="Move all partitions that the group has begun.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
    group: Group = None,
    config: ConfigFile = None,
) -> None:
    """Move a partition: its next worker goes on elsewhere, and its streams start afresh.

    All workers of the group have to be stopped. A new life begins, which audit reports apart. It
    belongs to the topics of today: this is the way on after a topic was made anew, or the changelog
    was lost (exit code 29). `--to committed` is the offset that the group has committed, `--to
    predicted` the one behind the frame of its newest prediction.

    Example: `longtake reset partition 3 --to earliest --group actions`
    """
    if (number is None) is not every:
        raise typer.BadParameter("name one partition, or say --every", param_hint="PARTITION")
    settings = load_config(config, {**kafka, "group": group})
    numbers = [] if number is None else [number]
    planned = plan_moves(settings.group_settings, numbers, to, clock=SystemClock())
    whats = {one.partition: _described(one, settings.group) for one in planned}
    if not yes:
        confirm(f"Move {'; '.join(whats.values())}?")
    lives = move_partitions(settings.group_settings, planned, clock=SystemClock())
    for moved, life in lives.items():
        _hint(f"moved {whats[moved]}, life {life} begins")
    if as_json:
        facts = [_facts(one, life=lives[one.partition]) for one in planned]
        print_facts({"moved": facts} if every else facts[0])


def _described(one: PlannedMove, group: str) -> str:
    return (
        f"partition {one.partition} of group {group} from offset {one.next_offset} to"
        f" {one.target}: the memory of {one.streams} streams is forgotten"
    )


def _facts(one: PlannedMove, *, life: int) -> dict[str, int]:
    moved = {"partition": one.partition, "from": one.next_offset, "to": one.target}
    return moved | {"life": life, "streams": one.streams}


def _hint(text: str) -> None:
    Terminal(stderr=True).say(text)
