"""How the C library keeps memory: set once, at the start of a process that decodes for months."""

import ctypes
import sys
from contextlib import suppress

LARGE_BYTES = 4 << 20
_M_MMAP_THRESHOLD = -3  # as glibc's malloc.h has it


def give_large_blocks_back() -> None:
    """Let a block of 4 MB or more go back to the system when it is freed, now and later on.

    glibc begins so, but raises the limit up to 32 MB as such blocks are freed. What a large
    picture or a full fetch took then stays, in pieces, with the process: a worker fed with damaged
    pictures of all sizes wandered between 470 and 560 MB instead of around 320. Elsewhere than on
    glibc it does nothing.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
