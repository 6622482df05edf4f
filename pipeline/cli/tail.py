"""`longtake tail`: predictions as they come."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from pipeline.cli.commands import one_command
from pipeline.cli.options import ConfigFile, Group, KafkaFlags, with_kafka
from pipeline.config import load_config
from pipeline.judging.chain import ChainReader, Link

app = one_command()

WAIT_S = 0.5
BAR_CELLS = 12
CLOCK = slice(11, 23)  # of captured_at: a terminal's line is short


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
    topic = settings.predictions_topic
    admin.require_topic(topic)
    admin.close()
    wanted = {name.encode() for name in stream or ()}
    show = _show_json if as_json else _show
    out, hints = Console(), Console(stderr=True)
    chains = ChainReader(drop_repeats=dedup, whole=False)
    reader = TopicTail(settings.connection, topic=topic, from_start=from_start)
    while True:
        records = [r for r in reader.read(WAIT_S) if not wanted or r.key in wanted]
        for link in chains.read(records):
            show(link, out, hints)
        sys.stdout.flush()


def _show(link: Link, out: Console, hints: Console) -> None:
    """One line for a person: coloured and with a bar on a terminal, plain text elsewhere."""
    del hints
    line = Text(_words(link, terminal=out.is_terminal))
    if link.fault is not None:
        line.append(f"  BROKEN: {link.complaint}")
        line.stylize("bold red")
    out.print(line, soft_wrap=True)


def _show_json(link: Link, out: Console, hints: Console) -> None:
    """Write the value unchanged; a fault goes to standard error."""
    del out
    sys.stdout.buffer.write((link.record.value or b"null") + b"\n")
    if link.fault is not None:
        hints.print(
            Text(f"{_words(link, terminal=False)}  BROKEN: {link.complaint}"), soft_wrap=True
        )


def _words(link: Link, *, terminal: bool) -> str:
    said = link.prediction
    if said is None:
        return f"partition {link.record.partition} offset {link.record.offset}"
    shown = "█" * round(said.confidence * BAR_CELLS)
    words = [
        said.captured_at[CLOCK] if terminal else said.captured_at,
        f"{said.stream:<12}",
        f"{said.label:<12}",
        f"{said.confidence:.2f}",
        *([f"{shown:<{BAR_CELLS}}"] if terminal else []),
        f"after {said.frames} frames",
        *([] if said.reset is None else [f"reset {said.reset}"]),
    ]
    return "  ".join(words)
