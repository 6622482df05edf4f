"""`longtake publish`: text and sequences into the log."""

import os
import time
from contextlib import closing
from typing import Annotated

import typer

from engines.model.bundle import find_bundle, load_bundle
from pipeline.broker.kafka.publisher import KafkaPublisher
from pipeline.cameras.camera_settings import load_cameras
from pipeline.cameras.letters.letter_publishing import LetterPublishing
from pipeline.cli.commands import one_command
from pipeline.cli.shared.options import KafkaFlags, with_kafka
from pipeline.clock import SystemClock
from pipeline.errors import BrokerUnavailableError
from pipeline.media.address import Address
from pipeline.media.kinds import letters_input
from pipeline.media.letters.letter_source import open_letters
from pipeline.text.terminal import Terminal
from pipeline.wire.frames import STREAM_WANTED, is_stream_id

SHOWN_EACH = 1000  # records

app = one_command()


@app.command()
@with_kafka
def publish(
    kafka: KafkaFlags,
    sources: Annotated[
        list[str],
        typer.Argument(help="Files of text or sequences, also .gz; - for standard input."),
    ],
    bundle: Annotated[
        str, typer.Option(help="What the records are for: a shipped bundle's name, or a path.")
    ],
    stream: Annotated[
        str | None, typer.Option(help="The stream of text, for one source. [the file's name]")
    ] = None,
    topic: Annotated[str | None, typer.Option(help="The frames topic. [frames]")] = None,
    per_second: Annotated[
        float | None, typer.Option(min=0.001, help="At most so many records. [as the log takes]")
    ] = None,
    end: Annotated[
        bool, typer.Option("--end/--no-end", help="End each stream with its source.")
    ] = True,
) -> None:
    """Publish text or sequences for a group with a bundle that takes letters.

    Text: each line is a record, or each object of JSON Lines (stream, text, captured_at).
    Sequences: FASTA or GenBank, each is a stream, cut into records as long as the bundle takes.

    Example: `longtake publish session.txt --bundle ./languages --stream session-1`
    """
    if stream is not None and (len(sources) != 1 or not is_stream_id(stream)):
        raise typer.BadParameter(f"wanted one source, and {STREAM_WANTED}", param_hint="--stream")
    spec = letters_input(load_bundle(find_bundle(bundle)), what="longtake publish")
    settings = load_cameras(None, {**kafka, "frames_topic": topic})
    addresses = [Address.of(source, os.environ) for source in sources]
    opened = [open_letters(one, spec, stream=stream or one.stream) for one in addresses]
    console = Terminal(stderr=True)
    with console.status(f"connecting to {settings.connection.shown}"):
        publisher = KafkaPublisher(settings.connection, topic=settings.frames_topic)
    publishing = LetterPublishing(
        publisher.publish,
        lambda: publisher.in_flight,
        kind=spec.kind,
        ends=end,
        per_second=per_second,
        clock=SystemClock(),
        pause=time.sleep,
    )
    with closing(publisher), console.status("publishing") as status:
        for source in opened:
            for _ in publishing.run(source):
                if publishing.records % SHOWN_EACH == 0:
                    status.update(f"{publishing.records:,} records")
                    _require_all(publisher)
    _require_all(publisher)
    console.say(f"{publishing.records:,} records of {publishing.streams:,} streams published")


def _require_all(publisher: KafkaPublisher) -> None:
    """Raise `BrokerUnavailableError` if records are missing in the log."""
    if publisher.lost:
        raise BrokerUnavailableError(
            f"{publisher.lost} of the records are not in the log: the broker did not take them in"
            " time. Publish the sources again: their streams start afresh"
        )
