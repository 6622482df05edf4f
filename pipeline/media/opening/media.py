"""Opens a URL, a device or a file through libav: the only call of `av.open` for reading."""

import errno
import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from pipeline.clock import Clock
from pipeline.errors import CameraLostError, LossReason
from pipeline.media.address import Address
from pipeline.media.opening.access import Access
from pipeline.media.opening.camera_certificate import check_certificate
from pipeline.media.opening.media_url import MediaUrl
from pipeline.media.opening.over_http.http_file import HttpFile
from pipeline.media.opening.over_http.http_session import HttpSession, NotThereError
from pipeline.media.opening.over_http.mjpeg_file import MjpegFile, Polling
from pipeline.media.opening.patience import Patience
from pipeline.media.opening.permitted import (
    DEVICE,
    ENCRYPTED,
    FILE,
    RTSP_UDP,
    WEB,
    Permitted,
    permitted_for,
)
from pipeline.media.opening.rtp_holes import ANALYSE_LITTLE, NOTICED_BY_TCP, RtpHoles, watch_holes
from pipeline.media.opening.rtsp_refusals import explain_digest, explain_rtsp
from pipeline.media.refusals import explain

Transport = Literal["tcp", "udp"]
NO_OPTIONS: Mapping[str, str] = MappingProxyType({})

_log = logging.getLogger(__name__)

_REFUSALS = (
    av.HTTPClientError,
    av.InvalidDataError,
    av.ArgumentError,
    av.DemuxerNotFoundError,
    av.DecoderNotFoundError,
    av.ProtocolNotFoundError,
    FileNotFoundError,
    IsADirectoryError,
    PermissionError,
)
# libav would reuse the connections of its own HTTP client; with ours it would end the process
# and would refuse a segment for its name, of which RFC 8216 asks nothing: its content decides
_HLS = {
    "http_persistent": "0",
    "http_multiple": "0",
    "extension_picky": "0",
    "allowed_extensions": "ALL",
    "allowed_segment_extensions": "ALL",
}
_STREAMS_COME_LATER = frozenset({"flv", "live_flv", "mpeg"})  # formats without a list of streams
# sound alone is analysed until video comes or the time is over
_WAITING_FOR_VIDEO = {"analyzeduration": "3600000000", "probesize": str(32 << 20)}


@dataclass(frozen=True, slots=True)
class Limits:
    """How long opening a source may take, and then each wait for a packet."""

    connect_s: float
    read_s: float


class Media:
    """An open source. Close it."""

    def __init__(
        self,
        container: InputContainer,
        patience: Patience,
        limits: Limits,
        *,
        file: HttpFile | MjpegFile | None = None,
        holes: RtpHoles | None = None,
    ) -> None:
        self.container = container
        self._holes = RtpHoles() if holes is None else holes
        self._file = file
        self._patience = patience
        self._limits = limits

    @property
    def missed_packets(self) -> int:
        """How many packets of RTSP never arrived so far."""
        return self._holes.packets

    def packets(self, *streams: Stream) -> Iterator["Packet[Any]"]:
        """Yield packets as they arrive, of all streams or of some; marked, if holes damaged them.

        Each wait is limited: `av.ExitError` or `TimeoutError`. Raises `CameraLostError` if a server
        refers to what is not allowed, and libav's errors.
        """
        found = self.container.demux(*streams)
        while True:
            self._patience.begin(self._limits.read_s)
            packet = self._holes.next_packet(found)
            if packet is None:
                return
            yield packet

    def close(self) -> None:
        """Close the source."""
        self.container.close()
        if self._file is not None:  # libav leaves it to us
            self._file.close()


def open_media(
    address: Address,
    *,
    access: Access,
    transport: Transport,
    limits: Limits,
    clock: Clock,
    options: Mapping[str, str] = NO_OPTIONS,
    snapshots_hz: float | None = None,
) -> Media:
    """Open a source by the rules of `access`. Raises `CameraLostError`.

    A URL that answers with one JPEG is requested `snapshots_hz` times a second; None: once.
    """
    patience = Patience(clock)
    patience.begin(limits.connect_s)
    polling = None if snapshots_hz is None else Polling(snapshots_hz, limits.read_s, clock)
    opening = _Opening(address, access, transport, limits, patience, dict(options), polling)
    try:
        return opening.media()
    except (av.FFmpegError, OSError) as exc:
        if _timed_out(exc, patience):
            words = f"no answer in {limits.connect_s:g} s; is the camera on, and the address right?"
            raise CameraLostError(LossReason.UNREACHABLE, words) from None
        refused = isinstance(exc, _REFUSALS) or exc.errno == errno.EPROTONOSUPPORT  # RTSP's 461
        lost = LossReason.REFUSED if refused else LossReason.UNREACHABLE
        # the text of exc can contain the password
        raise CameraLostError(lost, opening.explain(exc)) from None


@dataclass(frozen=True, slots=True)
class _Opening:
    """One attempt to open."""

    address: Address
    access: Access
    transport: Transport
    limits: Limits
    patience: Patience
    options: dict[str, str]
    polling: Polling | None

    def media(self) -> Media:
        """Open the source, and again if only sound came: video can come later."""
        media = self.first()
        if media.container.streams.video or not _may_come(media):
            return media
        media.close()
        try:
            return replace(self, options=self.options | _WAITING_FOR_VIDEO).first()
        except (av.FFmpegError, OSError) as exc:
            if not _timed_out(exc, self.patience):
                raise
            words = f"it sent no video for {self.limits.connect_s:g} s, only sound"
            raise CameraLostError(LossReason.STALLED, words) from None

    def first(self) -> Media:
        """Open the source once."""
        address = self.address
        if address.is_device:
            return self._open(address.url, DEVICE.options, kind="v4l2")
        if not address.is_url:
            return self._open(f"file:{address.url}", FILE.options, kind=None)
        permitted = permitted_for(address)
        if permitted is WEB:
            return self._web()
        options = permitted.options
        if address.scheme in ENCRYPTED:
            options |= self.access.tls_options()
        if address.is_rtsp:
            return self._rtsp(options | self._rtsp_options(permitted))
        return self._open(address.url, options, kind=None)

    def explain(self, exc: Exception) -> str:
        """Return why it failed. Raises `CameraLostError` for a certificate that is not trusted."""
        if self.address.scheme in ENCRYPTED and isinstance(exc, OSError):
            with suppress(OSError):  # that includes `TimeoutError`
                check_certificate(MediaUrl.of(self.address.url), self.access, self.patience)
        words: str | None = None
        if self.address.is_rtsp:
            words = explain_rtsp(exc, scheme=self.address.scheme, transport=self._rtsp_transport)
            if isinstance(exc, av.HTTPUnauthorizedError):
                place = MediaUrl.of(self.address.url)
                words = explain_digest(place, self.access, self.patience)
        return words or explain(exc, is_url=self.address.is_url)

    @property
    def _rtsp_transport(self) -> Transport:
        return "tcp" if self.address.scheme == "rtsps" else self.transport

    def _rtsp_options(self, permitted: Permitted) -> dict[str, str]:
        options = {"rtsp_transport": self._rtsp_transport, "allowed_media_types": "video"}
        protocols = permitted.protocols
        if self._rtsp_transport == "udp":
            protocols = RTSP_UDP
            options["rtsp_flags"] = "filter_src"  # packets of other senders are dropped
        else:
            options |= NOTICED_BY_TCP
        if self.access.redirects:  # libav follows only to protocols that are on the list
            protocols = f"rtsp,rtsps,tls,{protocols}"
        return options | {"protocol_whitelist": protocols}

    def _rtsp(self, options: dict[str, str]) -> Media:
        """Open RTSP; again if packets are lost meanwhile: any unit can be damaged then."""
        watch_holes()
        media = self._open(self.address.url, options, kind=None)
        if not media.missed_packets:
            return media
        media.close()
        return self._open(self.address.url, {**options, **ANALYSE_LITTLE}, kind=None)

    def _web(self) -> Media:
        place = MediaUrl.of(self.address.url)
        session = HttpSession(place, self.access, self.patience)

        missing = list[NotThereError]()

        def open_part(url: str, flags: int, part: Mapping[str, str]) -> HttpFile | io.BytesIO:
            del flags
            first, until = int(part.get("offset", "0")), int(part.get("end_offset", "0"))
            try:
                return HttpFile(session, url, first=first, until=until)
            except NotThereError as exc:  # the parts behind it can be there
                if not missing:
                    _log.warning("%s: a part is missing: %s", self.address.shown, exc)
                missing.append(exc)
                return io.BytesIO()

        file: HttpFile | MjpegFile = (first := HttpFile(session, place.url))
        kind = "hls" if first.is_playlist else None
        if first.is_mjpeg:
            kind = "mpjpeg"
            file = MjpegFile(
                first, session, place.url, patience=self.patience, polling=self.polling
            )
        try:
            container = av.open(
                file,
                "r",
                format=kind,
                options=self.options | WEB.options | _HLS,
                timeout=(self.patience.left_s, self.limits.read_s),
                io_open=open_part,
            )
        except BaseException as exc:
            file.close()
            if missing and isinstance(exc, av.FFmpegError):
                raise missing[0] from None
            raise
        return Media(container, self.patience, self.limits, file=file)

    def _open(self, url: str, options: dict[str, str], *, kind: str | None) -> Media:
        holes = RtpHoles()
        container = av.open(
            url,
            format=kind,
            options=self.options | options,
            timeout=(self.patience.left_s, self.limits.read_s),
        )
        holes.opened()
        return Media(container, self.patience, self.limits, holes=holes)


def _may_come(media: Media) -> bool:
    formats = set(media.container.format.name.split(","))
    return not _STREAMS_COME_LATER.isdisjoint(formats) and len(media.container.streams) > 0


def _timed_out(exc: Exception, patience: Patience) -> bool:
    # libav can report a silent server as invalid data: the elapsed time distinguishes the two
    if isinstance(exc, av.ExitError | TimeoutError):
        return True
    with suppress(TimeoutError):
        return patience.left_s <= 0
    return True
