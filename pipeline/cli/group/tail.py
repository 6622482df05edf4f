"""`longtake tail`: predictions as they come, or the states of cameras."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.commands import one_command
from pipeline.cli.group.camera_lines import CameraLines
from pipeline.cli.shared.options import ConfigFile, Group, KafkaFlags, LogFormatFlag, with_kafka
from pipeline.cli.shared.output import write_json_line
from pipeline.clock import SystemClock
from pipeline.config import WorkerConfig, load_config
from pipeline.errors import ConfigError
from pipeline.judging.chain import ChainReader, Link
from pipeline.media.picture_reader import MOST_DECODERS
from pipeline.offline.saved_pictures.picture_folder import MOST_BYTES, MOST_FILES, PictureFolder
from pipeline.offline.saved_pictures.predicted_pictures import PredictedPictures, SavedPicture
from pipeline.records import Record
from pipeline.text.log_lines import write_as
from pipeline.text.terminal import Terminal, plain
from pipeline.wire.belongings.ownership import publisher_of

app = one_command()

WAIT_S = 0.5
BAR_CELLS = 12
CLOCK = slice(11, 23)  # of captured_at: a terminal's line is short
MOST_SHOWN = 200  # characters of a label in a line for a person
TOGETHER = 200  # predictions whose pictures are saved before their lines are shown
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
    pictures: Annotated[
        Path | None, typer.Option(help="Save the picture of each prediction in this folder.")
    ] = None,
    pictures_most: Annotated[
        int, typer.Option(min=1, help="Files that the folder may have.")
    ] = MOST_FILES,
    pictures_mb: Annotated[
        int, typer.Option(min=1, help="MiB that the folder may have.")
    ] = MOST_BYTES >> 20,
    cameras: Annotated[
        bool, typer.Option("--cameras", help="The states of cameras, not predictions.")
    ] = False,
    group: Group = None,
    config: ConfigFile = None,
    log_format: LogFormatFlag = None,
) -> None:
    """Show predictions as they come, and where a stream's chain is broken, until Ctrl-C.

    With --cameras it shows the state of each camera, and then each change: a line for a camera that
    stalls, returns, is gone on purpose, or whose process does not speak any more (unknown).

    Example: `longtake tail --stream gate --json | jq .label`, or `longtake tail --cameras`
    """
    from pipeline.broker.kafka.readers.topic_tail import TopicTail
    from pipeline.broker.kafka.topics import TopicAdmin

    settings = load_config(config, {**kafka, "group": group, "log_format": log_format})
    write_as(settings.log_format)
    if cameras:
        if dedup or from_start or pictures is not None:
            raise typer.BadParameter(
                "shows states, not predictions: --dedup, --from-start and --pictures go without it",
                param_hint="--cameras",
            )
        _tail_cameras(settings, set(stream or ()), as_json=as_json)
        return
    admin = TopicAdmin(settings.connection, settings.topics)
    topic, state = settings.predictions_topic, settings.topics.state
    admin.require_topic(topic)
    if pictures is not None:
        admin.require_topic(settings.frames_topic)
    has_written = state in admin.partition_counts()
    admin.close()
    out, hints = Terminal(), Terminal(stderr=True)
    if group is not None and not has_written:
        hints.say(
            f"no worker of group {group} has written yet: topic {state} is missing, or this user"
            f" may not see it"
        )
    wanted = {name.encode() for name in stream or ()}
    groups = _Groups(settings, hints)
    show = _show_json if as_json else _show
    chains = ChainReader(drop_repeats=dedup, whole=False)
    reader = TopicTail(settings.connection, topic=topic, from_start=from_start)
    saver = None
    if pictures is not None:
        folder = PictureFolder(pictures, most_files=pictures_most, most_bytes=pictures_mb << 20)
        saver = _PictureSaver(settings, folder, streams=stream or (), hints=hints)
    while True:
        records = [r for r in groups.chosen(reader.read(WAIT_S)) if not wanted or r.key in wanted]
        for links in _parts(list(chains.read(records))):
            saved = [None] * len(links) if saver is None else saver.save(links)
            for link, picture in zip(links, saved, strict=True):
                show(link, picture, out, hints)
            sys.stdout.flush()


def _tail_cameras(settings: WorkerConfig, streams: set[str], *, as_json: bool) -> None:
    """Show the newest state of each camera, then what changes."""
    from pipeline.broker.kafka.readers.topic_tail import TopicTail
    from pipeline.broker.kafka.topics import TopicAdmin

    topic = settings.cameras_topic
    if not topic:
        raise ConfigError("cameras_topic is empty: there is no topic with the states of cameras")
    admin = TopicAdmin(settings.connection, settings.topics)
    admin.require_topic(topic)
    admin.close()
    clock = SystemClock()
    lines = CameraLines(streams, as_json=as_json, out=Terminal(), hints=Terminal(stderr=True))
    reader = TopicTail(settings.connection, topic=topic, from_start=True)
    while not reader.caught_up():
        lines.read(reader.read(WAIT_S))
    lines.begin(now_ms=int(clock.time() * 1000))
    while True:
        lines.read(reader.read(WAIT_S))
        lines.judge(now_ms=int(clock.time() * 1000))


class _Groups:
    """Leaves out what other groups published, if a group is named, and says once what it finds."""

    def __init__(self, settings: WorkerConfig, hints: Terminal) -> None:
        named = "group" in settings.model_fields_set
        self._group = settings.group if named else None
        self._hints = hints
        self._seen = [settings.group] if named else []

    def chosen(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield the records to show: those of the group, and those that name none."""
        for record in records:
            publisher = publisher_of(record)
            if publisher is not None and publisher not in self._seen:
                self._seen.append(publisher)
                self._say(publisher)
            if self._group is None or publisher in (None, self._group):
                yield record

    def _say(self, publisher: str) -> None:
        if self._group is not None:
            self._hints.say(f"group {publisher} publishes into the same topic: it is left out")
        elif len(self._seen) > 1:
            self._hints.say(
                f"groups {' and '.join(self._seen)} publish into the same topic, which"
                " breaks chains: choose one with --group"
            )


class _PictureSaver:
    """Saves the pictures of predictions, and says once what limits it."""

    def __init__(
        self,
        settings: WorkerConfig,
        folder: PictureFolder,
        *,
        streams: Iterable[str],
        hints: Terminal,
    ) -> None:
        from pipeline.broker.kafka.readers.span_reader import SpanReader

        log = SpanReader(
            settings.connection, stall_s=settings.group_settings.stall_s, clock=SystemClock()
        )
        self._folder, self._hints = folder, hints
        self._pictures = PredictedPictures(
            log,
            topic=settings.frames_topic,
            folder=folder,
            streams=streams,
            max_bytes=settings.max_frame_bytes,
        )
        self._said_full = self._said_closed = False

    def save(self, links: Sequence[Link]) -> list[SavedPicture | None]:
        """Save the pictures of some links, None for those that are no predictions."""
        said = [link.prediction for link in links]
        found = self._pictures.save([one for one in said if one is not None])
        if self._folder.full and not self._said_full:
            self._said_full = True
            limits = "--pictures-most and --pictures-mb"
            self._hints.say(f"{self._folder.filled}: no more are saved ({limits} are the limits)")
        if self._pictures.closed_decoders and not self._said_closed:
            self._said_closed = True
            self._hints.say(
                f"more than {MOST_DECODERS} streams have units of H.264, so some are not decoded"
                " until their next keyframe; choose streams with --stream"
            )
        return [None if one is None else found[one.partition, one.offset] for one in said]


def _parts(links: Sequence[Link]) -> Iterator[Sequence[Link]]:
    for first in range(0, len(links), TOGETHER):
        yield links[first : first + TOGETHER]


def _show(link: Link, picture: SavedPicture | None, out: Terminal, hints: Terminal) -> None:
    """One line for a person: coloured and with a bar on a terminal, plain text elsewhere."""
    del hints
    line = _words(link, terminal=out.is_terminal) + _picture_words(picture)
    if link.fault is None:
        out.say(line)
    else:
        out.say(plain(f"{line}  BROKEN: {link.complaint}", "bold red"))


def _show_json(link: Link, picture: SavedPicture | None, out: Terminal, hints: Terminal) -> None:
    """Write one JSON object on a line; a fault, or a missing picture, goes to standard error."""
    del out
    write_json_line(sys.stdout.buffer, _json_line(link))
    line = _words(link, terminal=False) + _picture_words(picture)
    if link.fault is not None:
        hints.say(f"{line}  BROKEN: {link.complaint}")
    elif picture is not None and picture.file is None:
        hints.say(line)


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


def _picture_words(picture: SavedPicture | None) -> str:
    if picture is None:
        return ""
    return f"  {picture.file}" if picture.file is not None else f"  no picture: {picture.why}"
