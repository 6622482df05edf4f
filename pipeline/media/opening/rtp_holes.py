"""Counts RTP packets that never arrived. libav reports holes in the sequence only in its log.

It does so in the thread that demuxes, while it demuxes. PyAV gives each message to Python's
`logging` in the same thread; there a filter counts the holes, and drops all messages.

A thread of libav that logs needs the GIL. Closing a decoder with frame threads waits for these
threads, and holds the GIL. So a process that opens RTSP must not decode with frame threads, else
it can hang.
"""

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import av
from av.packet import Packet

# A hole is known when the packet after it is parsed. That one can be of the unit that is returned
# now, or the first of the next one; what is missing can be of both.
AFFECTED_UNITS = 2

# By TCP libav looks at the sequence only if it may put packets in order. Nothing waits for that,
# but the packet after a hole: for the next one.
NOTICED_BY_TCP: Mapping[str, str] = MappingProxyType({"reorder_queue_size": "2"})

# libav analyses units when it opens a connection, and returns them later. With the least number of
# bytes that it accepts that is one unit, or some that are shorter together.
ANALYSED_BYTES = 32
ANALYSE_LITTLE: Mapping[str, str] = MappingProxyType({"probesize": str(ANALYSED_BYTES)})

_SILENT = logging.CRITICAL + 1
_MISSED = re.compile(r"RTP: missed (\d+) packets")
_REPEATED = 1 << 15  # libav takes a packet that comes twice for a hole of almost 65,536


class _Counts(threading.local):
    """The counts of one thread."""

    holes = 0
    packets = 0


_here = _Counts()


class _HoleFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Count a hole in the calling thread. No message passes."""
        found = _MISSED.match(record.getMessage())
        if found is not None:
            packets = int(found[1])
            _here.holes += 1
            # where the numbers start again, libav counts one packet too few
            _here.packets += max(1, packets) if packets < _REPEATED else 1
        return False


_filter = _HoleFilter()


def watch_holes() -> None:
    """Let libav report holes, before RTSP is opened. Once is enough for the process.

    Other messages of libav stay silent.
    """
    logging.getLogger("libav").setLevel(_SILENT)
    rtsp = logging.getLogger("libav.rtsp")
    rtsp.setLevel(logging.WARNING)
    rtsp.addFilter(_filter)
    av.logging.set_skip_repeated(False)  # else equal messages of two cameras would count as one
    av.logging.set_level(av.logging.WARNING)


class RtpHoles:
    """The holes of one connection. One thread at a time. Make it just before it is opened."""

    def __init__(self) -> None:
        self._began = holes_here()
        self.packets = 0  # that never arrived
        self._most = 0  # units that are still to come of a stream that is not in `_affected`
        self._affected: dict[int, int] = {}  # the same by stream
        self._unsure_bytes = 0  # of units that came while the connection was opened

    def opened(self) -> None:
        """Add the holes of the time in which the connection was opened, in the same thread."""
        self._add_since(self._began)
        self._unsure_bytes = ANALYSED_BYTES if self._most else 0

    def next_packet(self, packets: Iterator["Packet[Any]"]) -> "Packet[Any] | None":
        """Return the next packet; it is marked as corrupt if a hole can have damaged it."""
        began = holes_here()
        packet = next(packets, None)
        self._add_since(began)
        if packet is None or not packet.size:
            return packet
        if self._unsure_bytes > 0:
            self._unsure_bytes -= packet.size
            self._affected = {}
        stream = packet.stream.index
        left = self._affected.get(stream, self._most)
        if left:
            self._affected[stream] = left - 1
            packet.is_corrupt = True
        return packet

    def _add_since(self, began: tuple[int, int]) -> None:
        holes, packets = holes_here()
        self.packets += packets - began[1]
        if holes > began[0]:  # the message does not name the stream: all are affected
            self._affected, self._most = {}, AFFECTED_UNITS


def holes_here() -> tuple[int, int]:
    """Return how many holes this thread has seen so far, and how many packets were missing."""
    return _here.holes, _here.packets
