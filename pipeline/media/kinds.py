"""What a bundle's kind of input means for records and files: the only place that matches kinds."""

from functools import partial
from typing import assert_never

from engines.base import InputArray
from engines.model.bundle import Bundle
from engines.model.inputs import InputSpec, LettersInput, PictureInput
from pipeline.errors import ConfigError
from pipeline.media.address import Address
from pipeline.media.decoder import Decoder, EarlyRefusal, never_refused
from pipeline.media.letters.letter_reader import read_letters
from pipeline.media.letters.letter_source import LetterSource, open_letters
from pipeline.media.opening.access import Access
from pipeline.media.pictures import Fit, decode_picture, fit_frame, refused_early
from pipeline.media.sources import FrameSource, SourceFrame, open_source
from pipeline.media.video.lanes.fitting import OpenFitting, OwnFitting

Source = FrameSource | LetterSource


def decoder_for(spec: InputSpec, *, max_frame_pixels: int) -> Decoder:
    """Make the decoder of records for this kind of input. Larger pictures are undecodable."""
    match spec:
        case PictureInput():
            return partial(decode_picture, fit=fit_for(spec), max_pixels=max_frame_pixels)
        case LettersInput():
            return partial(read_letters, spec=spec)
    assert_never(spec)


def early_refusal_for(spec: InputSpec, *, max_frame_pixels: int) -> EarlyRefusal:
    """Make the check of records that `decoder_for`'s decoder would refuse without decoding."""
    match spec:
        case PictureInput():
            check = partial(refused_early, max_pixels=max_frame_pixels)
            return lambda frame: None if frame.unit else check(frame.content)
        case LettersInput():
            return never_refused  # their decoder is as cheap
    assert_never(spec)


def open_fitting_for(spec: InputSpec, *, max_frame_pixels: int) -> OpenFitting | None:
    """Return what opens decoders of H.264 units for this kind of input; None: it takes no units."""
    match spec:
        case PictureInput():
            return partial(OwnFitting, fit_for(spec), max_frame_pixels=max_frame_pixels)
        case LettersInput():
            return None
    assert_never(spec)


def open_source_for(
    spec: InputSpec,
    address: Address,
    *,
    stream: str,
    access: Access,
    max_frame_pixels: int,
    frame_threads: bool,
) -> Source:
    """Open a file or a URL for this kind of input. `stream` is its name. Raises `SourceError`."""
    match spec:
        case PictureInput():
            return open_source(
                address, access=access, max_pixels=max_frame_pixels, frame_threads=frame_threads
            )
        case LettersInput():
            return open_letters(address, spec, stream=stream)
    assert_never(spec)


def fit_source_frame(frame: SourceFrame, spec: InputSpec) -> InputArray:
    """Bring a decoded picture of a source to the size that a bundle for pictures takes."""
    if not isinstance(spec, PictureInput):
        raise AssertionError(f"a picture came for a bundle that takes {spec.kind}")
    return fit_frame(frame.picture, fit_for(spec))


def shown_size(spec: InputSpec) -> str:
    """Describe the size of one input for people."""
    match spec:
        case PictureInput():
            return f"{spec.height}x{spec.width}"
        case LettersInput():
            return f"{spec.kind} of {spec.length} bytes"
    assert_never(spec)


def picture_input(bundle: Bundle, *, what: str) -> PictureInput:
    """Return the input of a bundle for pictures. For others `ConfigError`: `what` needs them."""
    if not isinstance(bundle.input, PictureInput):
        raise ConfigError(
            f"{what} works with bundles that take pictures; {bundle.id} takes {bundle.input.kind}"
        )
    return bundle.input


def letters_input(bundle: Bundle, *, what: str) -> LettersInput:
    """Return the input of a bundle for letters. For others `ConfigError`: `what` needs them."""
    if not isinstance(bundle.input, LettersInput):
        raise ConfigError(
            f"{what} works with bundles that take text or bases; {bundle.id} takes"
            f" {bundle.input.kind}"
        )
    return bundle.input


def fit_for(spec: PictureInput) -> Fit:
    """Return the size and the fit of a bundle's pictures."""
    return Fit(spec.height, spec.width, spec.fit)
