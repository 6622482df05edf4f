"""The contract of what turns records of a stream into the encoder's inputs."""

from typing import Protocol

from engines.base import InputArray


class Decoder(Protocol):
    """Turns the content of one record into one input. Called from a thread pool."""

    def __call__(self, content: bytes, /) -> InputArray:
        """Decode to one input (*shape), as `bundle.input.array` says: of pictures (H, W, 3) uint8.

        Raises `UndecodableFrameError`.
        """
