"""The settings of a mount of the RTSP server. Imported by the tests and by Debian's Python."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Mount:
    """One camera at `rtsp://.../path`; `gop` is the number of frames between keyframes (H.264)."""

    path: str
    codec: Literal["h264", "mjpeg"] = "h264"
    width: int = 320
    height: int = 240
    fps: int = 10
    gop: int = 20
    b_frames: int = 0
    reports: bool = True  # send RTCP sender reports, which contain the camera's wall-clock time
