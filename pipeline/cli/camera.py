"""`longtake camera`: one camera by flags, or many by a file."""

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from pipeline.cameras.camera_service import CameraService
from pipeline.cameras.camera_settings import CamerasConfig, load_cameras
from pipeline.cameras.passing.obstacles import VideoChoice
from pipeline.cameras.site import Site
from pipeline.cameras.values import PictureFate, State
from pipeline.cli.commands import one_command
from pipeline.cli.shared.options import (
    CaFile,
    Crop,
    KafkaFlags,
    LogFormatFlag,
    Masks,
    NoVerify,
    OtelFlag,
    Redirects,
    with_kafka,
)
from pipeline.cli.shared.output import lines_above_status
from pipeline.cli.shared.signals import until_signalled
from pipeline.clock import SystemClock
from pipeline.media.address import Address, without_secrets
from pipeline.media.letters.letter_names import is_letters
from pipeline.media.opening.media import Transport
from pipeline.text.log_lines import write_as
from pipeline.text.terminal import Terminal, plain
from pipeline.wire.frames import is_stream_id

app = one_command()

LOST = (PictureFate.OVERFLOWED, PictureFate.EXPIRED, PictureFate.OVERSIZED)


@app.command()
@with_kafka
def camera(
    kafka: KafkaFlags,
    source: Annotated[
        str | None,
        typer.Argument(help="A URL, a video device or file, a folder of pictures."),
    ] = None,
    stream: Annotated[str | None, typer.Option(help="The stream's id.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="A TOML file of cameras, instead of SOURCE.")
    ] = None,
    topic: Annotated[str | None, typer.Option(help="The frames topic. [frames]")] = None,
    transport: Annotated[
        Transport | None, typer.Option(help="Of RTSP: tcp loses no packet, udp no time. [tcp]")
    ] = None,
    redirects: Redirects = False,
    no_verify: NoVerify = False,
    ca_file: CaFile = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin a file again at its end.")] = False,
    realtime: Annotated[
        bool,
        typer.Option(
            "--realtime/--no-realtime", help="Play a file at its own rate, or as fast as it goes."
        ),
    ] = True,
    fps: Annotated[float | None, typer.Option(help="At most so many frames a second.")] = None,
    size: Annotated[
        str | None, typer.Option(help="At most so large, such as 640x360; the shape stays.")
    ] = None,
    crop: Crop = None,
    mask: Masks = None,
    quality: Annotated[int | None, typer.Option(help="JPEG quality, 1 to 100. [90]")] = None,
    video: Annotated[
        VideoChoice | None,
        typer.Option(help="auto: publish its own H.264 where that fits. [jpeg]"),
    ] = None,
    spool: Annotated[
        Path | None,
        typer.Option(help="Keep frames in this file while the broker is away, restarts included."),
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port of /metrics, /healthz, /readyz. [9109 with --config]")
    ] = None,
    log_format: LogFormatFlag = None,
    otel: OtelFlag = False,
) -> None:
    """Publish the frames of cameras or videos, and go on whatever happens to them.

    Put secrets into the environment or into a file: `${NAME}` and `${file:/path}` in an address are
    replaced, and never shown. While the broker is away the newest minute of frames is kept on disk.
    With --config the file is watched: cameras come and go without disturbing the others.

    Example: `longtake camera 'rtsp://${GATE_LOGIN}@10.0.0.7/stream1' --stream gate --fps 15`,
    or `longtake camera gate.mp4 --stream gate --loop`, or `longtake camera --config cameras.toml`,
    or only the right half, without the neighbour's window:
    `longtake camera gate.mp4 --stream door --crop 0.5,0,0.5,1 --mask 0.8,0,0.2,0.3`
    """
    one = {
        "url": source,
        "transport": transport,
        "redirects": redirects or None,
        "verify": False if no_verify else None,
        "ca_file": ca_file,
        "loop": loop or None,
        "realtime": None if realtime else False,
        "fps": fps,
        "size": size,
        "crop": crop,
        "mask": mask or None,
        "quality": quality,
        "video": video,
    }
    given = {name: value for name, value in one.items() if value is not None}
    if config is None:
        if source is None or stream is None:
            raise typer.BadParameter("wanted SOURCE and --stream, or --config", param_hint="SOURCE")
        if is_letters(Address.of(source, os.environ)):
            raise typer.BadParameter(
                "a camera has pictures; `longtake publish` takes text and sequences",
                param_hint="SOURCE",
            )
        if not is_stream_id(stream):
            raise typer.BadParameter(
                f"{without_secrets(stream)!r}; wanted 1 to 200 characters of A-Z a-z 0-9 . _ : -",
                param_hint="--stream",
            )
    elif given or stream is not None:
        raise typer.BadParameter(
            "says what the file says: SOURCE, --stream and the camera's own options go without it",
            param_hint="--config",
        )
    flags: dict[str, object] = {
        **kafka,
        "frames_topic": topic,
        "spool": spool,
        "metrics_port": metrics_port,
        "log_format": log_format,
        "otel": otel or None,
        "camera": {stream: given} if config is None else None,
    }
    _run(config, flags, serve=config is not None or metrics_port is not None)


def _run(file: Path | None, flags: dict[str, object], *, serve: bool) -> None:
    from pipeline.broker.kafka.outlet import open_state_outlet
    from pipeline.broker.kafka.uplink import KafkaUplink
    from pipeline.heap import give_large_blocks_back
    from pipeline.tracing.opening import open_tracing

    def load() -> CamerasConfig:
        return load_cameras(file, flags)

    settings = load()
    write_as(settings.log_format)
    tracing = None
    if settings.otel:
        tracing = open_tracing(os.environ, service="longtake-camera", instance=None)
    give_large_blocks_back()
    console = Terminal(stderr=True)
    with console.status(f"connecting to {settings.connection.shown}"):
        service = CameraService(
            settings,
            connect=lambda: KafkaUplink(settings.connection, topic=settings.frames_topic),
            connect_states=lambda: open_state_outlet(
                settings.connection, topic=settings.cameras_topic, clock=SystemClock()
            ),
            load=load,
            file=file,
            serve=serve,
            tracing=tracing,
        )

    def reread(number: int, frame: FrameType | None) -> None:
        del number, frame
        service.reload()

    until_signalled(service.stop)
    signal.signal(signal.SIGHUP, reread)
    try:
        with console.status("connecting") as status, lines_above_status():
            service.run(lambda: status.update(plain(_now(service))))
    finally:
        waiting = service.spool.frames
        kept = f", {waiting} wait in {settings.spool}" if waiting and settings.spool else ""
        lost = waiting if waiting and not settings.spool else 0
        console.say(_line(service.site, lost=lost) + kept)


def _now(service: CameraService) -> str:
    waiting = service.spool.frames
    waits = f", {waiting} wait for the broker" if waiting else ""
    return _line(service.site, how=True) + waits


def _line(site: Site, *, lost: int = 0, how: bool = False) -> str:
    """Return the status line; `how` adds the state of a single camera."""
    tallies = site.tallies
    sent = sum(tally.fates[PictureFate.PUBLISHED] for tally in tallies.values())
    lost += sum(tally.fates[fate] for tally in tallies.values() for fate in LOST)
    frames = f"{sent} frames sent, {lost} lost"
    if len(tallies) == 1:
        ((name, tally),) = tallies.items()
        why = f" ({tally.why})" if tally.why else ""
        return f"{name}, {tally.state}{why}: {frames}" if how else f"{name}: {frames}"
    states = [
        f"{count} {state}"
        for state in State
        if (count := sum(tally.state is state for tally in tallies.values()))
    ]
    return f"{len(tallies)} cameras, {', '.join(states)}: {frames}"
