"""What a bundle's kind of input means for records and files: the only place that matches kinds."""

from collections.abc import Callable
from functools import partial
from typing import assert_never

from engines.base import InputArray
from engines.model.bundle import Bundle
from engines.model.inputs import InputSpec, PictureInput
from pipeline.errors import ConfigError
from pipeline.media.decoder import Decoder, EarlyRefusal
from pipeline.media.pictures import Fit, decode_picture, fit_frame, refused_early
from pipeline.media.sources import SourceFrame
from pipeline.media.video.lanes.fitting import OpenFitting, OwnFitting

SourceDecoder = Callable[[SourceFrame], InputArray]


def decoder_for(spec: InputSpec, *, max_frame_pixels: int) -> Decoder:
    """Make the decoder of records for this kind of input. Larger pictures are undecodable."""
    match spec:
        case PictureInput():
            return partial(decode_picture, fit=fit_for(spec), max_pixels=max_frame_pixels)
    assert_never(spec)


def early_refusal_for(spec: InputSpec, *, max_frame_pixels: int) -> EarlyRefusal:
    """Make the check of records that `decoder_for`'s decoder would refuse without decoding."""
    match spec:
        case PictureInput():
            check = partial(refused_early, max_pixels=max_frame_pixels)
            return lambda frame: None if frame.unit else check(frame.content)
    assert_never(spec)


def open_fitting_for(spec: InputSpec, *, max_frame_pixels: int) -> OpenFitting | None:
    """Return what opens decoders of H.264 units for this kind of input; None: it takes no units."""
    match spec:
        case PictureInput():
            return partial(OwnFitting, fit_for(spec), max_frame_pixels=max_frame_pixels)
    assert_never(spec)


def source_decoder_for(spec: InputSpec) -> SourceDecoder:
    """Make the decoder of what a file or a URL brings, for `longtake run`."""
    match spec:
        case PictureInput():
            fit = fit_for(spec)
            return lambda frame: fit_frame(frame.picture, fit)
    assert_never(spec)


def shown_size(spec: InputSpec) -> str:
    """Describe the size of one input for people."""
    match spec:
        case PictureInput():
            return f"{spec.height}x{spec.width}"
    assert_never(spec)


def picture_input(bundle: Bundle, *, what: str) -> PictureInput:
    """Return the input of a bundle for pictures. For others `ConfigError`: `what` needs them."""
    if not isinstance(bundle.input, PictureInput):
        raise ConfigError(
            f"{what} works with bundles that take pictures; {bundle.id} takes {bundle.input.kind}"
        )
    return bundle.input


def fit_for(spec: PictureInput) -> Fit:
    """Return the size and the fit of a bundle's pictures."""
    return Fit(spec.height, spec.width, spec.fit)
