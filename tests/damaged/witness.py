"""Decoders of units that keep every picture that they decode."""

import time
from dataclasses import dataclass

from pipeline.media.headers.picture_headers import FRAME_PIXELS
from pipeline.media.pictures import Fit
from pipeline.media.video.lanes.fitting import FitOutcome, Fitted, FittingDecoder, OwnFitting


@dataclass(frozen=True, slots=True)
class SeenPicture:
    """The RGB pixels of a unit: at full size, and the model's input, if that was wanted."""

    unit: bytes
    pixels: bytes
    model_input: bytes | None


class Witness:
    """See `OpenFitting`: decodes each unit for the model, and again at its full size.

    `chains` are the units that decoded, chain by chain: each has a decoder. `slowest_unit_s` is the
    CPU time of the slowest decode for the model.
    """

    def __init__(self, fit: Fit, size: Fit) -> None:
        self.chains: list[list[SeenPicture]] = []
        self.slowest_unit_s = 0.0
        self.fit, self._size = fit, size

    def __call__(self) -> FittingDecoder:
        chain = list[SeenPicture]()
        self.chains.append(chain)
        return _Watching(self, chain, self.fit, self._size)

    def took(self, seconds: float) -> None:
        """Enter the time of one decode."""
        self.slowest_unit_s = max(self.slowest_unit_s, seconds)


class _Watching:
    """See `FittingDecoder`."""

    lost = False

    def __init__(self, witness: Witness, chain: list[SeenPicture], fit: Fit, size: Fit) -> None:
        self._witness, self._chain = witness, chain
        self._own = OwnFitting(fit, max_frame_pixels=FRAME_PIXELS)
        self._whole = OwnFitting(size, max_frame_pixels=FRAME_PIXELS)

    def feed(self, content: bytes, *, seq: int | None, wanted: bool) -> FitOutcome:
        began_s = time.thread_time()
        outcome = self._own.feed(content, seq=seq, wanted=wanted)
        self._witness.took(time.thread_time() - began_s)
        seen = self._whole.feed(content, seq=seq, wanted=True)
        if isinstance(outcome, Fitted):
            assert isinstance(seen, Fitted)
            assert seen.pixels is not None
            given = None if outcome.pixels is None else outcome.pixels.tobytes()
            self._chain.append(SeenPicture(content, seen.pixels.tobytes(), given))
        return outcome

    def close(self) -> None:
        self._own.close()
        self._whole.close()
