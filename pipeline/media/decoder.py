"""The contract of a decoder: encoded pictures to pixels."""

from typing import Protocol

from engines.base import Pixels


class Decoder(Protocol):
    """Turns one encoded picture into pixels. Called from a thread pool."""

    def __call__(self, content: bytes, /) -> Pixels:
        """Decode to (H, W, 3) uint8 as the bundle wants it; raises `UndecodableFrameError`."""
