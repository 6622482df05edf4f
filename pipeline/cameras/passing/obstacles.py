"""What in the settings or the address of a camera keeps its own H.264 from being published."""

from typing import Literal

from pipeline.media.address import Address
from pipeline.media.opening.media import Transport

VideoChoice = Literal["auto", "jpeg"]

_LOSSY = frozenset({"udp", "rtp"})  # schemes


def obstacle(
    address: Address,
    *,
    transport: Transport = "tcp",
    fps: float | None = None,
    cut: bool = False,
) -> str | None:
    """Return why units are not published, whatever the camera sends; None: they may be."""
    if cut:
        return "`crop`, `mask` or `views` is set, and units hold the whole picture"
    if fps is not None:
        return "`fps` is set, and units cannot be left out one by one"
    if address.scheme == "rtsp" and transport == "udp":
        return 'it comes by UDP, which loses packets: use `transport = "tcp"`'
    if address.scheme in _LOSSY:
        return f"it comes by {address.scheme}://, which loses packets"
    return None
