"""Explains the refusals of an RTSP server: libav has one error for most of them."""

import errno
import re
from collections.abc import Iterator
from contextlib import closing, suppress

import av

from pipeline.errors import CameraLostError
from pipeline.media.opening.access import Access
from pipeline.media.opening.camera_certificate import encrypt
from pipeline.media.opening.media_url import MediaUrl
from pipeline.media.opening.patience import Patience, TimedSocket
from pipeline.media.refusals import REDIRECTS_ALLOW

MAX_LINES, MAX_LINE_BYTES = 100, 4096  # of the head of an answer
BUSY = "it may have too many viewers already: close others, or let it allow more"

_UNKNOWN_DIGEST = re.compile(rb"digest\b.*\balgorithm *= *\"?(SHA-?[0-9]{1,3}(?:-256)?)", re.I)
_CHALLENGE = re.compile(rb"www-authenticate: *(.*)", re.I)


def explain_rtsp(exc: Exception, *, scheme: str, transport: str) -> str | None:
    """Return what an RTSP server refuses, and the way out; None if the error is not its own."""
    if isinstance(exc, av.ArgumentError):
        return f"it refers to another address, or breaks RTSP; {REDIRECTS_ALLOW}"
    if isinstance(exc, av.InvalidDataError):
        return "it sends no RTSP that can be read, or no video; are port and path right?"
    if isinstance(exc, PermissionError | EOFError):  # libav's words for a closed connection
        return "it closed the connection before it sent anything; does it allow another viewer?"
    if isinstance(exc, av.HTTPBadRequestError):
        return "the camera calls the request wrong (400); is the path right?"
    if isinstance(exc, av.HTTPOtherClientError):
        return f"the camera refuses to send (4xx, mostly 453: not enough bandwidth); {BUSY}"
    if isinstance(exc, av.HTTPServerError):
        return f"the camera cannot send now (5xx, mostly 503: unavailable); {BUSY}"
    if isinstance(exc, OSError) and exc.errno == errno.EPROTONOSUPPORT:
        refused = f"the camera does not send by {transport} (461: unsupported transport)"
        if scheme == "rtsps":
            return f"{refused}, and `rtsps` is read by tcp alone; try `rtsp`"
        other = "tcp" if transport == "udp" else "udp"
        return f'{refused}; set `transport = "{other}"` (camera and probe: --transport {other})'
    return None


def explain_digest(place: MediaUrl, access: Access, patience: Patience) -> str | None:
    """Ask the server which logins it accepts; return words if it is only Digest with SHA.

    libav computes Digest with MD5 alone, and reports a refused login.
    """
    with suppress(OSError, CameraLostError):  # OSError includes `TimeoutError`
        found = [_UNKNOWN_DIGEST.match(one) for one in _challenges(place, access, patience)]
        known = [one[1].decode() for one in found if one is not None]
        if known and len(known) == len(found):
            return (
                f"the camera accepts no login but Digest with {known[0]}, which is not supported"
                " here; let it accept Digest with MD5 as well, in its settings"
            )
    return None


def _challenges(place: MediaUrl, access: Access, patience: Patience) -> Iterator[bytes]:
    """Yield the logins that the server asks for."""
    with closing(TimedSocket(place.host, place.port, patience)) as line:
        if place.scheme == "rtsps":
            encrypt(line, place, access)
        request = f"DESCRIBE {place.url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"
        line.send(request.encode())
        answer = line.makefile()
        for _ in range(MAX_LINES):
            header = answer.readline(MAX_LINE_BYTES).strip()
            if not header:
                return
            if found := _CHALLENGE.match(header):
                yield found[1]
