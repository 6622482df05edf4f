"""`longtake replay`: a stretch of the log again, and what differs from what was published."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.table import Table
from rich.text import Text

from engines.model.bundle import Bundle, find_bundle, load_bundle
from pipeline.broker.kafka.readers.replay_source import ReplaySource
from pipeline.cli.commands import one_command
from pipeline.cli.shared.options import (
    AsJson,
    ConfigFile,
    Group,
    KafkaFlags,
    LogFormatFlag,
    refuse_other_than_mp4,
    with_kafka,
)
from pipeline.cli.shared.output import open_output, print_facts, write_json_line
from pipeline.cli.shared.progress import RecordsRead
from pipeline.clock import SystemClock
from pipeline.config import WorkerConfig, load_config
from pipeline.errors import ConfigError
from pipeline.judging.compare import Comparison
from pipeline.offline.group_replay import GroupReplay, ReplayPlan, comparison_json, plan_replay
from pipeline.offline.overlay.film import Film
from pipeline.offline.overlay.log_film import LogFilm
from pipeline.text.log_lines import write_as
from pipeline.text.terminal import Terminal, plain
from pipeline.wire.frames import STREAM_WANTED, is_stream_id

DIFFERENT = 1
SHOWN = 20  # streams, in the table
MOST_SHOWN = 200  # characters of a value in the table
NAMES = {
    "replayed": "replayed",
    "published": "published",
    "compared": "compared",
    "same": "the same bytes",
    "same_but_chain": "the same but for the chain",
    "differing": "differing",
    "only_replayed": "missing in the log",
    "only_published": "missing in the replay",
    "repeated": "published again",
    "unreadable": "published and unreadable",
    "not_compared": "not compared",
}

app = one_command()


@app.command()
@with_kafka
def replay(
    kafka: KafkaFlags,
    group: Group = None,
    config: ConfigFile = None,
    bundle: Annotated[
        str | None, typer.Option(help="A shipped bundle's name, or a path; also another one.")
    ] = None,
    partition: Annotated[
        list[int] | None, typer.Option(min=0, help="Only this one; may be given again. [all]")
    ] = None,
    first: Annotated[
        int | None, typer.Option("--from", min=0, help="Begin here. [where the group began]")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--to", min=0, help="End before this. [what the group finished]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write predictions here, one JSON object a line.")
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option(help="Draw them on the frames of --stream, into this MP4.")
    ] = None,
    stream: Annotated[str | None, typer.Option(help="The stream that --overlay shows.")] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Compare with what was published; exit code 1 if wrong.")
    ] = False,
    as_json: AsJson = False,
    log_format: LogFormatFlag = None,
) -> None:
    """Go over a group's frames again: what should its workers have published?

    Joins no group and publishes nothing. Predictions go to --output, else to standard output (not
    with --diff or --json). Give it the workers' own --config: their rules of time count.

    --overlay draws them on one stream, as `longtake run --overlay` does, without a skeleton.

    Example: `longtake replay --group actions --diff`
    """
    _check_overlay(overlay, stream)
    settings = load_config(
        config, {**kafka, "group": group, "bundle": bundle, "log_format": log_format}
    )
    write_as(settings.log_format)
    console = Terminal(stderr=True)
    clock = SystemClock()
    with closing(ReplaySource(settings.group_settings, clock=clock)) as source:
        loaded = load_bundle(find_bundle(settings.bundle))
        plan = plan_replay(
            source,
            loaded,
            partitions=partition or (),
            first=first,
            last=last,
            compared=diff,
            settings=settings,
        )
        for note in plan.notes:
            console.say(note)
        going = GroupReplay(settings, plan, source, clock=clock)
        with (
            closing(going),
            open_output(output, stdout=not diff and not as_json) as out,
            _film(overlay, stream, loaded, settings) as film,
        ):
            _write(going, plan, out, console, film)
    if film is not None:
        console.say(_filmed(film))
    report = going.report()
    for other, count in sorted(report.others.items()):
        console.say(
            f"group {other} has published {count} predictions into the same topic: they are not"
            " compared"
        )
    if as_json:
        print_facts({"bundle": loaded.id, "notes": plan.notes} | report.json())
    elif report.comparison is not None:
        _show(report.comparison, Terminal())
    else:
        console.say(f"{report.predictions} predictions of {report.records} records")
    if report.comparison is not None and not report.comparison.agrees:
        raise typer.Exit(DIFFERENT)


def _check_overlay(overlay: Path | None, stream: str | None) -> None:
    if (overlay is None) != (stream is None):
        raise typer.BadParameter("--overlay FILE.mp4 and --stream NAME belong together")
    if overlay is not None:
        refuse_other_than_mp4(overlay)
    if stream is not None and not is_stream_id(stream):
        raise typer.BadParameter(f"--stream: wanted {STREAM_WANTED}")


@contextmanager
def _film(
    path: Path | None, stream: str | None, bundle: Bundle, settings: WorkerConfig
) -> Iterator[LogFilm | None]:
    """Open the film of a stream; None if none is wanted. Raises `ConfigError` if it is empty."""
    if path is None or stream is None:
        yield None
        return
    with Film(path, bundle=bundle, truth=None) as film:
        made = LogFilm(film, stream=stream, max_bytes=settings.max_frame_bytes)
        yield made
    if not made.frames:
        raise ConfigError(
            f"nothing to draw: the records that were replayed have no picture of stream {stream}"
        )


def _filmed(film: LogFilm) -> str:
    """Say what the film shows, and what it does not."""
    words = f"{film.frames} frames of partition {film.partition} drawn"
    if film.left_out:
        words += f", {film.left_out} left out that give no picture"
    if film.elsewhere:
        others = ", ".join(map(str, sorted(film.elsewhere)))
        words += f"; the stream is also in partition {others}: choose with --partition"
    return words


def _write(
    going: GroupReplay,
    plan: ReplayPlan,
    out: BinaryIO | None,
    console: Terminal,
    film: LogFilm | None,
) -> None:
    """Replay, with a bar unless predictions go to the same terminal."""
    shown = out is sys.stdout.buffer and sys.stdout.isatty()
    with RecordsRead(plan.records, console, quiet=shown) as read:
        for prediction in going.run(read.reach, film):
            if out is not None:
                write_json_line(out, prediction.value)


def _show(comparison: Comparison, console: Terminal) -> None:
    """Print the counts that say something, and where the first streams begin to differ."""
    table = Table("predictions", "", show_header=False)
    for name, count in _rows(comparison_json(comparison)):
        table.add_row(name, count)
    console.print(table)
    differences = comparison.differences
    if differences:
        streams = Table("stream", "partition", "offset", "field", "published", "replayed")
        for d in differences[:SHOWN]:
            words = (d.partition, d.offset, d.field, d.published, d.replayed)
            streams.add_row(d.stream, *("none" if word is None else _short(word) for word in words))
        console.print(streams)
    if len(differences) > SHOWN:
        console.print(f"and {len(differences) - SHOWN} more streams; --json lists them all")
    console.print(_verdict(comparison))


def _rows(facts: dict[str, Any]) -> Iterable[tuple[str, str]]:
    always = ("replayed", "published", "same", "differing", "only_replayed", "only_published")
    for name, count in facts["counts"].items():
        if count or name in always:
            yield NAMES[name], str(count)
    if facts["labels_agree_percent"] is not None:
        yield "labels agree", f"{facts['labels_agree_percent']} %"
    if facts["mean_score_difference"]:
        yield "mean difference of a score", f"{facts['mean_score_difference']:.6f}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _verdict(comparison: Comparison) -> Text:
    if not comparison.same_bundle:
        return plain("another bundle: differences are expected")
    return plain("no difference") if comparison.agrees else plain("they differ", "bold red")
