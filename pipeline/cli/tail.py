"""`longtake tail`: predictions as they come."""

import json
import sys
from typing import Annotated

import typer

from pipeline.cli.commands import one_command
from pipeline.cli.options import ConfigFile, Group, KafkaFlags, with_kafka
from pipeline.cli.output import write_json_line
from pipeline.config import load_config
from pipeline.judging.chain import ChainReader, Link
from pipeline.text.terminal import Terminal, plain

app = one_command()

WAIT_S = 0.5
BAR_CELLS = 12
CLOCK = slice(11, 23)  # of captured_at: a terminal's line is short
MOST_SHOWN = 200  # characters of a label in a line for a person
JSON_SPACES = bytes.maketrans(b"\r\n", b"  ")


@app.command()
@with_kafka
def tail(
    kafka: KafkaFlags,
    dedup: Annotated[
        bool, typer.Option("--dedup", help="Leave out repeats (low_latency, after a crash).")
    ] = False,
    stream: Annotated[
        list[str] | None, typer.Option(help="Only this stream; may be given again.")
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="All that the log holds, not only what comes.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Predictions as they are, one JSON object a line.")
    ] = False,
    group: Group = None,
    config: ConfigFile = None,
) -> None:
    """Show predictions as they come, and where a stream's chain is broken, until Ctrl-C.

    Example: `longtake tail --stream gate --json | jq .label`
    """
    from pipeline.broker.kafka.readers.topic_tail import TopicTail
    from pipeline.broker.kafka.topics import TopicAdmin

    settings = load_config(config, {**kafka, "group": group})
    admin = TopicAdmin(settings.connection, settings.topics)
    topic, state = settings.predictions_topic, settings.topics.state
    admin.require_topic(topic)
    has_written = state in admin.partition_counts()
    admin.close()
    out, hints = Terminal(), Terminal(stderr=True)
    if group is not None and not has_written:
        hints.say(
            f"no worker of group {group} has written yet: topic {state} is missing, or this user"
            f" may not see it. These are the predictions of all groups that write to {topic}"
        )
    wanted = {name.encode() for name in stream or ()}
    show = _show_json if as_json else _show
    chains = ChainReader(drop_repeats=dedup, whole=False)
    reader = TopicTail(settings.connection, topic=topic, from_start=from_start)
    while True:
        records = [r for r in reader.read(WAIT_S) if not wanted or r.key in wanted]
        for link in chains.read(records):
            show(link, out, hints)
        sys.stdout.flush()


def _show(link: Link, out: Terminal, hints: Terminal) -> None:
    """One line for a person: coloured and with a bar on a terminal, plain text elsewhere."""
    del hints
    line = _words(link, terminal=out.is_terminal)
    if link.fault is None:
        out.say(line)
    else:
        out.say(plain(f"{line}  BROKEN: {link.complaint}", "bold red"))


def _show_json(link: Link, out: Terminal, hints: Terminal) -> None:
    """Write one JSON object on a line; a fault goes to standard error."""
    del out
    write_json_line(sys.stdout.buffer, _json_line(link))
    if link.fault is not None:
        hints.say(f"{_words(link, terminal=False)}  BROKEN: {link.complaint}")


def _json_line(link: Link) -> bytes:
    """Return a prediction's value, or an object that says why the record is no prediction.

    In a prediction, line breaks can only stand between JSON's tokens, where a space is the same.
    """
    record = link.record
    if link.prediction is not None:
        return link.prediction.value.translate(JSON_SPACES)
    place = {"partition": record.partition, "offset": record.offset}
    return json.dumps({"unreadable": link.unreadable, "record": place}).encode()


def _words(link: Link, *, terminal: bool) -> str:
    said = link.prediction
    if said is None:
        return f"partition {link.record.partition} offset {link.record.offset}"
    bar = "█" * round(said.confidence * BAR_CELLS)
    label = said.label if len(said.label) <= MOST_SHOWN else f"{said.label[:MOST_SHOWN]}..."
    words = [
        said.captured_at[CLOCK] if terminal else said.captured_at,
        f"{said.stream:<12}",
        f"{label:<12}",
        f"{said.confidence:.2f}",
        *([f"{bar:<{BAR_CELLS}}"] if terminal else []),
        f"after {said.frames} frames",
        *([] if said.reset is None else [f"reset {said.reset}"]),
    ]
    return "  ".join(words)
