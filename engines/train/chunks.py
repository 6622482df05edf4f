"""Chunks of streams side by side, and the memory that is carried from one chunk to the next.

Both trainings of a head (`clips.clip_head` and `actions.head_training`) are truncated
back-propagation through time with a carried state. They draw their chunks in different ways; what
a chunk is, and what a lane's memory is at its first frame, is the same for both.
"""

from dataclasses import dataclass

from torch import Tensor

from engines.train.heads import Head, Memory


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next T frames of N lanes: one step of the optimiser. Each lane plays one stream."""

    features: Tensor  # (T, N, F)
    labels: Tensor  # (T, N), -1 where there is no label, and after the end of a lane's stream
    fresh: Tensor  # (N,) bool: the lane's memory is empty before the first frame of the chunk


def carried(head: Head, memory: Memory, chunk: Chunk) -> Memory:
    """Return the memory (N, ...) that a chunk begins with, given the memory after the last chunk.

    The values are carried, the gradient is not: back-propagation ends at the first frame of the
    chunk. Otherwise each step would have to go back to the beginning of the streams.
    """
    if chunk.fresh.all():  # nothing to carry; `memory` may be empty, or of another number of lanes
        return head.start(len(chunk.fresh))
    return tuple(
        # (N,) -> (N, 1, ...), to be broadcast over the dimensions of this part of the memory
        part.detach().masked_fill(chunk.fresh.reshape(-1, *[1] * (part.ndim - 1)), 0)
        for part in memory
    )
