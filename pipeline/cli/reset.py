"""`longtake reset`: forget a stream, move a partition."""

from typing import Annotated

import typer

from pipeline.cli.commands import command_group
from pipeline.cli.options import AsJson, ConfigFile, Group, KafkaFlags, with_kafka
from pipeline.cli.output import confirm, print_facts
from pipeline.clock import SystemClock
from pipeline.config import load_config
from pipeline.offline.group_reset import EndedStream, end_streams, move_partition, plan_move
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
    number: Annotated[int, typer.Argument(min=0, help="The partition.", metavar="PARTITION")],
    to: Annotated[str, typer.Option(help="Where to go on: an offset, earliest or latest.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
    group: Group = None,
    config: ConfigFile = None,
) -> None:
    """Move a partition: its next worker goes on elsewhere, and its streams start afresh.

    All workers of the group have to be stopped. A new life begins, which audit reports apart.

    Example: `longtake reset partition 3 --to earliest --group actions`
    """
    settings = load_config(config, {**kafka, "group": group})
    planned = plan_move(settings.group_settings, number, to, clock=SystemClock())
    what = (
        f"partition {number} of group {settings.group} from offset {planned.next_offset} to"
        f" {planned.target}: the memory of {planned.streams} streams is forgotten"
    )
    if not yes:
        confirm(f"Move {what}?")
    life = move_partition(settings.group_settings, planned, clock=SystemClock())
    _hint(f"moved {what}, life {life} begins")
    if as_json:
        moved = {"partition": number, "from": planned.next_offset, "to": planned.target}
        print_facts(moved | {"life": life, "streams": planned.streams})


def _hint(text: str) -> None:
    Terminal(stderr=True).say(text)
