"""The protocols and container formats that are read: everything else is refused.

libav knows many more. Some of them open sockets or name files at a server's command (SDP, DASH,
ffconcat, playlists in a file), others do nothing for a camera.
"""

from dataclasses import dataclass

from pipeline.errors import CameraLostError, LossReason
from pipeline.media.address import Address

_ELEMENTARY = "mjpeg,jpeg_pipe,h264,hevc,m4v,mpegvideo,obu,ivf"
_CONTAINERS = "mov,matroska,mpegts,mpeg,flv,live_flv,avi,ogg,asf"
_SOUND = "aac,mp3,ac3,eac3,wav,flac,webvtt"  # beside the video of a playlist
_STREAMED = f"{_CONTAINERS},mpjpeg,{_ELEMENTARY},{_SOUND}"


@dataclass(frozen=True, slots=True)
class Permitted:
    """What libav may use for one kind of address: comma-separated lists of its own names."""

    protocols: str
    formats: str

    @property
    def options(self) -> dict[str, str]:
        """The lists as libav's options."""
        return {"protocol_whitelist": self.protocols, "format_whitelist": self.formats}


FILE = Permitted("file", f"{_STREAMED},gif,yuv4mpegpipe,nut,mxf,dv,wtv,rm")
DEVICE = Permitted("file", "v4l2")
WEB = Permitted("none", f"hls,{_STREAMED}")  # libav opens no connection: see `http_session`
RTSP_UDP = "tcp,udp,rtp"
ENCRYPTED = frozenset({"rtsps", "rtmps"})  # by libav
SCHEMES = {
    # Without `rtsp` itself: then libav refuses each redirect of a server.
    "rtsp": Permitted("tcp", "rtsp"),
    "rtsps": Permitted("tls,tcp", "rtsp"),
    "http": WEB,
    "https": WEB,
    "rtmp": Permitted("rtmp,tcp", "flv,live_flv"),
    "rtmps": Permitted("rtmps,tls,tcp", "flv,live_flv"),
    "tcp": Permitted("tcp", _STREAMED),
    "udp": Permitted("udp", _STREAMED),
    "rtp": Permitted("rtp,udp", "rtp"),
}


def permitted_for(address: Address) -> Permitted:
    """Return what may be used to read this URL. Raises `CameraLostError` for other schemes."""
    found = SCHEMES.get(address.scheme)
    if found is None:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise CameraLostError(
            LossReason.REFUSED,
            f"addresses of this kind are not read; allowed are {known}, and files by their path",
        )
    return found
