"""Opens a connection to a camera, and finds its video stream."""

from dataclasses import dataclass, field

from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.clock import Clock
from pipeline.errors import CameraLostError, LossReason
from pipeline.media.address import Address
from pipeline.media.opening.access import Access
from pipeline.media.opening.media import Limits, Media, Transport, open_media
from pipeline.media.opening.video_streams import find_video, stream_kinds

# How much of a stream libav analyses before it returns the first picture. By default libav measures
# the frame rate over twenty frames. `nobuffer` is not used: it would discard the analysed packets,
# so that the first picture came only with the next keyframe.
PROBING = {"fpsprobesize": "0", "analyzeduration": "500000"}  # microseconds

SNAPSHOTS_HZ = 1.0  # how often a URL that answers with one JPEG is requested, unless `fps` is set


@dataclass(frozen=True, slots=True)
class Connecting:
    """How a live camera is connected to."""

    limits: Limits
    transport: Transport = "tcp"
    access: Access = field(default_factory=Access)
    snapshots_hz: float = SNAPSHOTS_HZ


def open_camera(address: Address, how: Connecting, clock: Clock) -> Media:
    """Open a URL, a device or a file. Raises `CameraLostError`."""
    return open_media(
        address,
        access=how.access,
        transport=how.transport,
        limits=how.limits,
        clock=clock,
        options=PROBING,
        snapshots_hz=how.snapshots_hz,
    )


def video_of(container: InputContainer) -> VideoStream:
    """Return the first video stream. Raises `CameraLostError` if there is none."""
    found = find_video(container)
    if found is None:
        words = f"sends no video (streams: {stream_kinds(container)})"
        raise CameraLostError(LossReason.REFUSED, words)
    return found
