"""The settings of a mount of the RTSP server. Imported by the tests and by Debian's Python."""

from dataclasses import dataclass
from typing import Literal

RECORD_SETS, RECORD_UNIT = b"S", b"U"  # `codec_data` of the caps (or nothing); an access unit


@dataclass(frozen=True)
class Mount:
    """One camera at `rtsp://.../path`; `gop` is the number of frames between keyframes (H.264).

    `sets_every` is config-interval of GStreamer: the parameter sets are sent before each slice of a
    keyframe (-1), every so many seconds, or never (0: they are in the SDP alone). `record` is a
    file for what the encoder makes: records of 4 bytes of length, a `RECORD_*` byte, and content.
    """

    path: str
    codec: Literal["h264", "h265", "mjpeg"] = "h264"
    width: int = 320
    height: int = 240
    fps: int = 10
    gop: int = 20
    b_frames: int = 0
    slices: int = 1  # of a picture; 0: as many as x264 makes for low delay, one per thread
    checksums: bool = False  # an MD5 of each picture (H.265)
    sets_every: int = -1
    dump: str = ""  # file for the encoder's own pictures, as decoders must see them (I420, H.264)
    reports: bool = True  # send RTCP sender reports, which contain the camera's wall-clock time
    record: str = ""
