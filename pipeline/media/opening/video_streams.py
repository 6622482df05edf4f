"""Chooses the video of an open source by libav's dispositions of its streams."""

from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from pipeline.errors import CameraLostError, LossReason

_TILE = 1 << 19  # libav's AV_DISPOSITION_DEPENDENT


def find_video(container: InputContainer) -> VideoStream | None:
    """Return the first video stream; None if there is none.

    The cover picture of a piece of music is no video. Raises `CameraLostError` for a picture in
    tiles: each is a stream of its own, and one tile is not the picture.
    """
    videos = container.streams.video
    whole = [one for one in videos if not one.disposition & (_TILE | Disposition.attached_pic)]
    tiled = any(one.disposition & _TILE for one in videos)
    if tiled and not any(one.disposition & Disposition.default for one in whole):
        raise CameraLostError(
            LossReason.REFUSED,
            f"a picture in tiles (HEIC or AVIF, {len(videos)} streams), which are not put together"
            " here; convert it to JPEG, PNG or WebP",
        )
    return whole[0] if whole else None


def stream_kinds(container: InputContainer) -> str:
    """Return the kinds of the streams of a source without video, for people."""
    kinds = {
        "cover picture" if one.disposition & Disposition.attached_pic else one.type
        for one in container.streams
    }
    return ", ".join(sorted(kinds)) or "none"
