"""Explains why a source cannot be opened or read. The only place that interprets libav's errors.

libav's own messages repeat the address, with the password in it, so they are not shown.
"""

import csv
import errno
import socket

import av

from pipeline.errors import UndecodableFrameError

LOGIN_REFUSED = (
    "the camera refuses the login; give it as rtsp://USER:PASSWORD@..., or better as"
    " rtsp://${NAME}@... with NAME=USER:PASSWORD in the environment"
)
NOT_FOUND = "the camera answers, but has no stream of that path (404); see its manual for it"
REDIRECTS_ALLOW = "`redirects = true` (--redirects) allows that"


def words_of(exc: Exception) -> str:
    """Return libav's error message without the address."""
    return getattr(exc, "strerror", None) or type(exc).__name__


def explain(exc: Exception, *, is_url: bool) -> str:
    """Return what is wrong and what to do about it."""
    if isinstance(exc, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
        return LOGIN_REFUSED
    if isinstance(exc, av.HTTPNotFoundError):
        return NOT_FOUND
    if isinstance(exc, ConnectionRefusedError):
        return "nobody listens there (connection refused); is the port right, and RTSP enabled?"
    if isinstance(exc, av.ExitError):
        return "no answer in time; is the camera on, and the address right?"
    if isinstance(exc, av.ArgumentError):
        return (
            "no format that is read here: MP4, MOV, Matroska, MPEG-TS, FLV, AVI, MJPEG, H.264 and"
            " H.265 are, among others; HLS by HTTP alone; SDP, DASH and lists of files never"
        )
    if isinstance(exc, av.InvalidDataError) and is_url:
        return "no video that can be read comes from there; are port and path right?"
    if isinstance(exc, av.InvalidDataError):
        return "no video that can be read (is the file whole, and a video?)"
    if isinstance(exc, FileNotFoundError):
        return (
            "no such file or device; check the path (an address has `://`: rtsp://, http://, ...)"
        )
    if isinstance(exc, IsADirectoryError):
        return "a folder, no video"
    if isinstance(exc, PermissionError):
        return "no permission to read it (a camera device wants its user in the group `video`)"
    unknown = isinstance(exc, socket.gaierror)
    if unknown or (is_url and isinstance(exc, OSError) and exc.errno == errno.EIO):
        return "it cannot be reached; is the host's name right, and the camera on?"
    if isinstance(exc, UnicodeError):
        return f"no UTF-8 text ({exc})"
    if isinstance(exc, csv.Error | UndecodableFrameError):
        return str(exc)
    return words_of(exc)


def explain_certificate(why: str) -> str:
    """Return what a person can do about a certificate; `why` are the words of the TLS library."""
    return (
        f"its certificate is not trusted ({why.rstrip('.')}); name the camera's certificate or its"
        " authority in `ca_file` (--ca-file), or accept any with `verify = false` (--no-verify)"
    )
