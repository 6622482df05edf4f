"""`longtake probe`: what a camera sends, and whether it suits the bundle."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from engines.model.bundle import find_bundle, load_bundle
from pipeline.cameras.camera_settings import CameraSettings, load_cameras
from pipeline.cameras.capture.connecting import Connecting
from pipeline.cameras.probing.fitness import Fitness, judge, judge_views
from pipeline.cameras.probing.probe import LIMITS, SETTLING_S, Probed
from pipeline.cameras.probing.probe import probe as watch
from pipeline.cameras.views.camera_view import CameraView
from pipeline.cameras.views.rectangles import UnfitViewError
from pipeline.cli.commands import one_command
from pipeline.cli.shared.options import AsJson, CaFile, Crop, Masks, NoVerify, Redirects
from pipeline.cli.shared.output import print_facts
from pipeline.clock import SystemClock
from pipeline.errors import OutputError, SourceError
from pipeline.media.address import Address, without_secrets
from pipeline.media.kinds import picture_input
from pipeline.media.opening.media import Transport
from pipeline.media.pictures import rgb_pixels
from pipeline.text.terminal import Terminal, plain

app = one_command()

UNFIT = 1
FLAGS = "view"  # the name of the view that the flags describe


@app.command()
def probe(
    source: Annotated[
        str,
        typer.Argument(
            help="A URL, a device or a video file. ${NAME}: from the environment. With --config: a"
            " camera's name."
        ),
    ],
    config: Annotated[
        Path | None, typer.Option("--config", help="The TOML file that has the camera.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the views into this PNG file, masks in black.")
    ] = None,
    crop: Crop = None,
    mask: Masks = None,
    transport: Annotated[Transport | None, typer.Option(help="How RTP comes. [tcp]")] = None,
    seconds: Annotated[float, typer.Option(min=1.0, max=600.0, help="How long to watch.")] = 5.0,
    bundle: Annotated[str, typer.Option(help="A shipped bundle's name, or a path.")] = "actions",
    redirects: Redirects = False,
    no_verify: NoVerify = False,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Watch a camera for some seconds: what it sends, and whether it suits the bundle.

    Ends with 0 if it does, with 1 if predictions will be worse than they could be, and with 18 if
    there is no picture.

    Example: `longtake probe 'rtsp://${GATE_LOGIN}@10.0.0.7/stream1' --bundle actions`, or with the
    views of a camera in a file: `longtake probe gate --config cameras.toml --picture gate.png`
    """
    given = {
        "transport": transport,
        "redirects": redirects or None,
        "verify": False if no_verify else None,
        "ca_file": ca_file,
        "crop": crop,
        "mask": mask or None,
    }
    name, settings = _camera(source, config, {n: v for n, v in given.items() if v is not None})
    views = settings.streams(name)
    loaded = load_bundle(find_bundle(bundle))
    wanted = picture_input(loaded, what="longtake probe")
    address = Address.of(settings.url, os.environ)
    shown: list[NDArray[np.uint8]] = []
    with Terminal(stderr=True).status(f"watching for {seconds + SETTLING_S:.0f} s"):
        how = Connecting(LIMITS, settings.transport, settings.access)
        probed = watch(
            address,
            how,
            seconds=seconds,
            clock=SystemClock(),
            cut=any(view.cuts for view in views.values()),
            show=lambda frame: shown.append(rgb_pixels(frame)),
        )
    (pixels,) = shown
    size = pixels.shape[1], pixels.shape[0]
    fitness = judge(probed, wanted, bundle=loaded.id)
    unfit = judge_views(views, size, wanted, bundle=loaded.id)
    fitness = replace(fitness, against=(*fitness.against, *unfit))
    if picture is not None:
        _draw(views, pixels, picture)
    if as_json:
        print_facts(_facts(address, probed, fitness, loaded.id))
    else:
        _show([*_rows(probed, views), *_view_rows(views, size)], fitness, loaded.id)
    if not fitness.suits:
        raise typer.Exit(UNFIT)


def _camera(
    source: str, config: Path | None, given: dict[str, object]
) -> tuple[str, CameraSettings]:
    """Return the camera's name and settings: of the file, or as the flags say."""
    if config is None:
        one = load_cameras(None, {"camera": {FLAGS: {"url": source, **given}}})
        return FLAGS, one.camera[FLAGS]
    if given:
        raise typer.BadParameter(
            "says what the file says: the camera's own options go without it",
            param_hint="--config",
        )
    cameras = load_cameras(config, {}).camera
    if source not in cameras:
        raise typer.BadParameter(
            f"{config} has no camera {without_secrets(source)!r}; it has"
            f" {', '.join(sorted(cameras)) or 'none'}",
            param_hint="SOURCE",
        )
    return source, cameras[source]


def _draw(views: Mapping[str, CameraView], pixels: NDArray[np.uint8], file: Path) -> None:
    """Write the picture with the views that fit; without any, nothing: masks could be wrong."""
    from pipeline.offline.overlay.sketch import draw_views

    size = pixels.shape[1], pixels.shape[0]
    masks = next(iter(views.values())).masks  # those of the camera: the same in all
    corners = {}
    try:
        whole = CameraView(None, masks).develop(pixels)
    except UnfitViewError as exc:
        raise SourceError(f"{file} is not written: {exc}") from None
    for name, view in views.items():
        with suppress(UnfitViewError):  # `judge_views` says it
            box = view.box(size)
            corners[name] = (box.left, box.top, box.right, box.bottom)
    try:
        file.write_bytes(draw_views(whole, corners).png())
    except OSError as exc:
        raise OutputError(f"cannot write {file}: {exc.strerror}") from exc


def _facts(address: Address, probed: Probed, fitness: Fitness, bundle: str) -> dict[str, Any]:
    rounded = {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in asdict(probed).items()
    }
    judged = {"bundle": bundle, "suits": fitness.suits, **asdict(fitness)}
    return {"source": address.shown, **rounded, **judged}


def _show(rows: Sequence[tuple[str, str]], fitness: Fitness, bundle: str) -> None:
    table = Table(show_header=False, box=None)
    for name, words in rows:
        table.add_row(name, words)
    console = Terminal()
    console.print(table)
    verdict = plain("suits", "green") if fitness.suits else plain("does not suit", "red")
    console.print()
    console.print(verdict, bundle)
    for words in (*fitness.against, *fitness.remarks):
        console.say(f"- {words}")


def _rows(probed: Probed, views: Mapping[str, CameraView]) -> list[tuple[str, str]]:
    codec = " ".join(filter(None, (probed.codec_name, probed.profile)))
    rows = [
        ("codec", f"{codec}, {probed.pix_fmt} ({probed.format_name})"),
        ("size", f"{probed.width} x {probed.height}"),
        (
            "frames a second",
            f"{_or_unknown(probed.fps, '.2f')} measured,"
            f" {_or_unknown(probed.avg_frame_rate, '.2f')} declared",
        ),
        ("bit rate", _or_unknown(probed.bit_rate and probed.bit_rate / 1000, ",.0f", "kbit/s")),
        ("GOP", _gop(probed)),
        ("B-frames", "yes" if probed.b_frames else "no"),
        ("passing through", _passing(probed, views)),
        ("seen", f"{probed.frames} frames, {probed.frames_damaged} damaged"),
    ]
    return rows + _live_rows(probed) if probed.live else rows


def _live_rows(probed: Probed) -> list[tuple[str, str]]:
    offset_s, jitter_s = probed.clock_offset_s, probed.arrival_jitter_s
    fault = probed.clock_fault
    return [
        ("RTP packets lost", str(probed.packets_lost)),
        (
            "clock",
            f"by RTCP, {_or_unknown(offset_s, '+z.2f', 's')} from ours"
            if probed.wall_clock
            else "none (no RTCP sender reports)",
        ),
        ("time stamps", "right" if fault is None else f"{fault.words}: not used"),
        ("jitter of arrival", _or_unknown(jitter_s and 1000 * jitter_s, ".0f", "ms")),
        ("first picture", f"after {probed.first_picture_s:.2f} s"),
    ]


def _view_rows(views: Mapping[str, CameraView], size: tuple[int, int]) -> list[tuple[str, str]]:
    """Return which pixels each view shows, of those that fit."""
    rows = []
    for name, view in views.items():
        with suppress(UnfitViewError):  # `judge_views` says it
            width, height = (box := view.box(size)).size
            if view.cuts:
                rows.append((name, f"{width} x {height} from {box.left}, {box.top} on"))
    return rows


def _passing(probed: Probed, views: Mapping[str, CameraView]) -> str:
    if probed.passes_through:
        return "its own H.264 can be published (`longtake camera --video auto`)"
    if probed.codec_name == "mjpeg" and not any(view.cuts for view in views.values()):
        return "its own JPEG is published"
    return f"no: {probed.why_not_passed}"


def _gop(probed: Probed) -> str:
    if probed.gop_frames is None:
        return "longer than was watched"
    if probed.gop_frames == 1:
        return "every frame is a keyframe"
    return f"{probed.gop_frames} frames, {_or_unknown(probed.gop_s, '.2f', 's')}"


def _or_unknown(value: float | None, pattern: str, unit: str = "") -> str:
    return "unknown" if value is None else f"{value:{pattern}} {unit}".rstrip()
