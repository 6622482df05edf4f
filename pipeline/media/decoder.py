"""The contract of what turns records of a stream into the encoder's inputs."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from engines.base import InputArray
from pipeline.errors import UndecodableFrameError
from pipeline.records import Frame


class Decoder(Protocol):
    """Turns the content of one record into one input. Called from a thread pool."""

    def __call__(self, content: bytes, /) -> InputArray:
        """Decode to one input (*shape), as `bundle.input.array` says: of pictures (H, W, 3) uint8.

        Raises `UndecodableFrameError`.
        """


EarlyRefusal: TypeAlias = Callable[[Frame], UndecodableFrameError | None]
"""Says of some frames, by their bytes alone, why a `Decoder` would refuse them."""


def never_refused(frame: Frame) -> None:
    """Leave every frame to the decoder."""
