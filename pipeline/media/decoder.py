"""The contract of what turns records of a stream into pixels."""

from typing import Protocol

from engines.base import Pixels


class Decoder(Protocol):
    """Turns one encoded picture into pixels. Called from a thread pool."""

    def __call__(self, content: bytes, /) -> Pixels:
        """Decode to (H, W, 3) uint8 as the bundle wants it; raises `UndecodableFrameError`."""
