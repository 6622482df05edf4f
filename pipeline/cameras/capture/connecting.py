"""Opens a connection to a camera, and finds its video stream."""

from typing import Literal

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.clock import Clock
from pipeline.errors import CameraLostError, LossReason
from pipeline.media.address import Address
from pipeline.media.refusals import explain

Transport = Literal["tcp", "udp"]

DEVICES = "/dev/"
# A playlist from the network must not name files of this machine.
NETWORK = "http,https,httpproxy,tcp,tls,crypto,udp,rtp,srtp,rtsp,rtmp,rtmps,rtmpt,srt,data"
# How much of a stream libav analyses before it returns the first picture. By default libav measures
# the frame rate over twenty frames. `nobuffer` is not used: it would discard the analysed packets,
# so that the first picture came only with the next keyframe.
PROBING = {"fpsprobesize": "0", "analyzeduration": "500000"}  # microseconds

_REFUSALS = (
    av.HTTPClientError,
    av.InvalidDataError,
    av.DemuxerNotFoundError,
    av.DecoderNotFoundError,
    av.ProtocolNotFoundError,
    FileNotFoundError,
    PermissionError,
)


def open_camera(
    address: Address, *, transport: Transport, connect_s: float, stall_s: float, clock: Clock
) -> InputContainer:
    """Open a URL, a device or a file. Raises `CameraLostError`.

    Opening takes at most `connect_s`, each later read at most `stall_s`.
    """
    device = address.url.startswith(DEVICES)
    options = dict(PROBING)
    if is_live(address) and not device:
        options["protocol_whitelist"] = NETWORK
    if address.url.startswith(("rtsp://", "rtsps://")):
        options |= {"rtsp_transport": transport, "allowed_media_types": "video"}
    began_s = clock.monotonic()
    try:
        return av.open(
            address.url,
            format="v4l2" if device else None,
            options=options,
            timeout=(connect_s, stall_s),
        )
    except (av.FFmpegError, OSError) as exc:
        # libav can report a silent server as invalid data: the elapsed time distinguishes the two
        if isinstance(exc, av.ExitError) or clock.monotonic() - began_s >= connect_s:
            words = f"no answer in {connect_s:g} s; is the camera on, and the address right?"
            raise CameraLostError(LossReason.UNREACHABLE, words) from None
        lost = LossReason.REFUSED if isinstance(exc, _REFUSALS) else LossReason.UNREACHABLE
        # the text of exc can contain the password
        raise CameraLostError(lost, explain(exc, is_url=address.is_url)) from None


def is_live(address: Address) -> bool:
    """Whether the source sends at its own pace: everything except a file."""
    return address.is_url or address.url.startswith(DEVICES)


def video_of(container: InputContainer) -> VideoStream:
    """Return the first video stream. Raises `CameraLostError` if there is none."""
    if container.format.name == "tty":  # libav decodes any text file as a video of a terminal
        raise CameraLostError(LossReason.REFUSED, "a text file, no video")
    if not container.streams.video:
        found = ", ".join(sorted({stream.type for stream in container.streams})) or "none"
        raise CameraLostError(LossReason.REFUSED, f"sends no video (streams: {found})")
    return container.streams.video[0]
