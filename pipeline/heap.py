"""Configures the C library's allocator, once, at the start of a process that decodes for months."""

import ctypes
import sys
from contextlib import suppress

LARGE_BYTES = 4 << 20
_M_MMAP_THRESHOLD = -3  # from glibc's malloc.h


def give_large_blocks_back() -> None:
    """Make glibc return every freed block of 4 MB or more to the system, for the process's life.

    By default glibc raises this threshold, up to 32 MB, when such blocks are freed. The memory of
    a large picture or a full fetch then stays fragmented in the process: a worker that got damaged
    pictures of all sizes used between 470 and 560 MB instead of about 320 MB. Without glibc this
    does nothing.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)


def return_freed() -> None:
    """Give the memory of freed decoders back to the system, which glibc does not do of its own.

    The pictures of a decoder are blocks below the threshold. Without glibc this does nothing.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
