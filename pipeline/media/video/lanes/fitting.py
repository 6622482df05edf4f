"""Decodes units of H.264 one by one to inputs of the model."""

from dataclasses import dataclass
from typing import Protocol

import av

from engines.base import InputArray
from pipeline.errors import UndecodableFrameError
from pipeline.media.pictures import Fit, fit_frame
from pipeline.media.showing.interlaced import progressive
from pipeline.media.video.outcomes import Broken, Decoded, Unkeyed
from pipeline.media.video.strict_decoder import StrictDecoder


@dataclass(frozen=True, slots=True)
class Fitted:
    """A unit that decoded. `key`: a new chain of units began with it.

    `pixels` is None if the picture was not wanted, or could not be fitted: then `words` say why.
    """

    key: bool
    pixels: InputArray | None = None
    words: str = ""


FitOutcome = Fitted | Broken | Unkeyed


class LostDecoderError(Exception):
    """The decoder is gone, with all that it had decoded. Another one has to begin anew."""


class FittingDecoder(Protocol):
    """Decodes the units of one chain, in order. One thread at a time."""

    def feed(self, content: bytes, *, seq: int | None, wanted: bool) -> FitOutcome:
        """Decode a unit. Its picture is converted to the model's input only if it is wanted.

        The outcomes are a function of the units since the keyframe. Raises `LostDecoderError`.
        """

    @property
    def lost(self) -> bool:
        """Whether the decoder is gone, so that `feed` would fail."""

    def close(self) -> None:
        """Free the decoder."""


class OpenFitting(Protocol):
    """Opens decoders. From any thread."""

    def __call__(self) -> FittingDecoder:
        """Return a new decoder. Opening one is cheap, before its first keyframe."""


class OwnFitting:
    """See `FittingDecoder`: in this process."""

    lost = False

    def __init__(self, fit: Fit, *, max_frame_pixels: int) -> None:
        self._decoder = StrictDecoder("h264", max_pixels=max_frame_pixels)
        self._fit = fit

    def feed(self, content: bytes, *, seq: int | None, wanted: bool) -> FitOutcome:
        """See `FittingDecoder`."""
        outcome = self._decoder.feed(content, seq=seq)
        if not isinstance(outcome, Decoded):
            return outcome
        if not wanted:
            return Fitted(outcome.key)
        try:
            picture = progressive(outcome.picture)
            pixels = fit_frame(picture, self._fit, orientation=outcome.orientation)
        except UndecodableFrameError as exc:
            return Fitted(outcome.key, words=str(exc))
        except (av.FFmpegError, ValueError, MemoryError) as exc:
            return Fitted(outcome.key, words=f"its picture is no frame ({type(exc).__name__})")
        return Fitted(outcome.key, pixels)

    def close(self) -> None:
        """See `FittingDecoder`: libav frees its memory with the decoder."""
        self._decoder = StrictDecoder("h264")
