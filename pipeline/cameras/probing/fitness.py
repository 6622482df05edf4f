"""Compares what a camera sends with what a bundle expects. Opens no camera itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from engines.model.inputs import PictureInput
from pipeline.cameras.probing.probe import Probed
from pipeline.cameras.views.camera_view import CameraView
from pipeline.cameras.views.rectangles import UnfitViewError

ENOUGH = 0.9  # of the model's rate: a camera's rate always differs a little from the declared one
MUCH_LARGER = 64  # times as many pixels as the model's input
LONG_GOP_S = 4.0
WRONG_CLOCK_S = 1.0


@dataclass(frozen=True, slots=True)
class Fitness:
    """The result: `against` lists reasons for worse predictions, `remarks` everything else."""

    against: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def suits(self) -> bool:
        """Whether the camera suits the bundle."""
        return not self.against


def judge(probed: Probed, wanted: PictureInput, *, bundle: str) -> Fitness:
    """Compare the measured stream with the input that `bundle` was trained on."""
    against = [*_rate_against(probed, wanted, bundle), *_size_against(probed, wanted, bundle)]
    return Fitness(tuple(against), tuple(_remarks(probed, wanted)))


def judge_views(
    views: Mapping[str, CameraView], size: tuple[int, int], wanted: PictureInput, *, bundle: str
) -> list[str]:
    """Return what is against cutting pictures of this width and height to these views."""
    against = []
    for name, view in views.items():
        try:
            view.hidden(size)
            width, height = view.box(size).size
        except UnfitViewError as exc:
            against.append(f"{name}: {exc}; nothing of it would be published")
            continue
        if view.cuts and (width < wanted.width or height < wanted.height):
            against.append(
                f"{name}: {width} x {height} is smaller than the model's {wanted.width} x"
                f" {wanted.height}: {bundle} sees less than it was trained on"
            )
    return against


def _rate_against(probed: Probed, wanted: PictureInput, bundle: str) -> list[str]:
    if wanted.rate_hz is None:
        return []
    if probed.fps is None:
        return ["too few pictures came to measure their rate; try --seconds 30"]
    if probed.fps >= ENOUGH * wanted.rate_hz:
        return []
    return [
        f"{probed.fps:.1f} fps is slower than the model's {wanted.rate_hz:g} Hz: {bundle} was"
        f" trained at {wanted.rate_hz:g} frames a second, expect worse; raise the camera's rate"
    ]


def _size_against(probed: Probed, wanted: PictureInput, bundle: str) -> list[str]:
    if probed.width >= wanted.width and probed.height >= wanted.height:
        return []
    return [
        f"{probed.width} x {probed.height} is smaller than the model's {wanted.width} x"
        f" {wanted.height}: pictures are enlarged, and {bundle} sees less than it was trained on"
    ]


def _remarks(probed: Probed, wanted: PictureInput) -> list[str]:
    remarks = []
    if wanted.rate_hz and probed.fps and probed.fps * ENOUGH > wanted.rate_hz:
        rate_hz = f"{wanted.rate_hz:g}"
        remarks.append(
            f"{probed.fps:.1f} fps is more than the model's {rate_hz} Hz: the worker leaves the"
            f" rest out; `longtake camera --fps {rate_hz}` does not even send it"
        )
    if probed.width * probed.height > MUCH_LARGER * wanted.width * wanted.height:
        remarks.append(
            f"the model sees {wanted.width} x {wanted.height}: a sub-stream of the camera, or"
            " `longtake camera --size`, saves network and disk"
        )
    if probed.live and probed.b_frames:
        remarks.append("B-frames delay every picture by some frames; turn them off in the camera")
    if probed.gop_s is not None and probed.gop_s > LONG_GOP_S:
        remarks.append(
            f"{probed.gop_s:.1f} s from keyframe to keyframe: after a loss or a reconnect there is"
            " no picture for up to so long; 1 to 2 s are usual"
        )
    if probed.frames_damaged or probed.packets_lost:
        remarks.append(
            f"{probed.packets_lost} packets lost, {probed.frames_damaged} frames damaged: try"
            " --transport tcp, or look at the network"
        )
    return remarks + _clock_remarks(probed)


def _clock_remarks(probed: Probed) -> list[str]:
    remarks = []
    if probed.clock_fault is not None:
        remarks.append(
            f"its time stamps {probed.clock_fault.words}: pictures are dated when they arrive"
        )
    if probed.wild_stamps:
        remarks.append(
            f"{probed.wild_stamps} time stamps do not continue those before: such pictures are"
            " dated by their neighbours"
        )
    offset_s = probed.clock_offset_s
    if offset_s is not None and abs(offset_s) > WRONG_CLOCK_S:
        way = "ahead of" if offset_s > 0 else "behind"
        remarks.append(
            f"the camera's clock is {abs(offset_s):.1f} s {way} ours: give both the same NTP"
        )
    return remarks
