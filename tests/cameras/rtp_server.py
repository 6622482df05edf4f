"""An RTSP server of our own, whose every packet a test decides: what is sent, joined and lost."""

import base64
import hashlib
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Literal

from tests.cameras.films import FPS, Codec, Film, is_key_slice, nal_kind, tail, units
from tests.cameras.rtp import CLOCK_HZ, PAYLOAD_TYPE, Packing, payloads, rtp_packet

# where the parameter sets are: `sdp` alone (others that follow come once), or beside it before each
# keyframe, before each slice of a keyframe (GStreamer's config-interval=-1), before every seventh
# picture (config-interval=1); `band`: before each keyframe, and not in the SDP
Sets = Literal["sdp", "keyframes", "slices", "seconds", "band"]

MOST_WAITING_BYTES = 50_000  # in the viewer's UDP socket: what is too much for it would be lost
POLL_S = 0.002
TAIL_S = 0.015  # from picture to picture: viewers hand the first ones on when they had to wait
SETS_EVERY = 7  # pictures
UNWATCHED = 1  # this number is never lost: libav takes number 0 for the begin of a stream
FIRST_SEQ, FIRST_STAMP = 65_500, 2**32 - 40_000  # both start again at 0 soon


@dataclass(frozen=True, slots=True)
class Broadcast:
    """What each viewer gets, from the film's beginning. `loss` is the share of packets.

    Which packets are lost is a function of `seed`. None of the film's tail is, nor `UNWATCHED`.
    """

    film: Film
    sets: Sets = "keyframes"
    packing: Packing = field(default_factory=Packing)
    loss: float = 0.0
    seed: int = 1

    def packets(self) -> Iterator[list[bytes]]:
        """Yield the packets of each unit that are not lost."""
        rng = Random(self.seed)  # noqa: S311 - reproducible on purpose
        seq, film, safe = FIRST_SEQ, self.film, tail(self.film)
        told = units(film)[0].sets  # what the viewer knows
        for index, unit in enumerate(units(film)):
            nals = self._nals(index, told)
            told = unit.sets
            made = list(payloads(film.codec, nals, self.packing))
            sent = list[bytes]()
            stamp = FIRST_STAMP + unit.step * CLOCK_HZ // FPS
            for number, payload in enumerate(made, 1):
                seq += 1
                lost = rng.random() < self.loss and index < safe
                if not lost or seq & 0xFFFF == UNWATCHED:
                    last = number == len(made)
                    sent.append(rtp_packet(payload, seq=seq, stamp=stamp, last=last))
            yield sent

    def _nals(self, index: int, told: tuple[bytes, ...]) -> list[bytes]:
        unit, codec = units(self.film)[index], self.film.codec
        if self.sets == "slices" and any(is_key_slice(codec, nal) for nal in unit.nals):
            pieces = [(*unit.sets * is_key_slice(codec, nal), nal) for nal in unit.nals]
            return [nal for piece in pieces for nal in piece]
        with_sets = {
            "sdp": told != unit.sets,
            "keyframes": unit.key,
            "slices": unit.key,
            "seconds": index % SETS_EVERY == 0 or told != unit.sets,
            "band": unit.key,
        }[self.sets]
        return [*unit.sets * with_sets, *unit.nals]

    def sdp(self) -> str:
        """Return the session description."""
        codec = self.film.codec
        sets = () if self.sets == "band" else units(self.film)[0].sets
        name = "H264" if codec == "h264" else "H265"
        lines = [
            "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0",
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}", f"a=rtpmap:{PAYLOAD_TYPE} {name}/{CLOCK_HZ}",
            f"a=fmtp:{PAYLOAD_TYPE} {'; '.join(_parameters(codec, sets))}", "a=control:video",
        ]  # fmt: skip
        return "\r\n".join([*lines, ""])


@dataclass(frozen=True, slots=True)
class Manner:
    """How a server differs from others: texts of its SDP that are replaced; `more` at its end.

    `asks`: it sends requests of its own between the packets. `refuses_udp`: with 461. `logins`: it
    asks for a digest of user `u` and password `p` from the first request on, and before each of
    these methods its nonce is stale. `patience_s`: whole seconds; it sends in real time, and leaves
    a viewer from whom no request comes for longer.
    """

    replaced: tuple[tuple[str, str], ...] = ()
    more: str = ""
    asks: bool = False
    refuses_udp: bool = False
    logins: tuple[str, ...] | None = None
    patience_s: int | None = None

    def sdp(self, usual: str) -> str:
        """Return the session description."""
        for old, new in self.replaced:
            usual = usual.replace(old, new)
        return usual + self.more


USUAL = Manner()


class RtpServer:
    """Serves one broadcast, to each viewer from its beginning."""

    def __init__(self, broadcast: Broadcast, manner: Manner = USUAL) -> None:
        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    _Viewer(self.request, broadcast, manner).serve()

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"rtsp://127.0.0.1:{self._server.server_address[1]}/camera"

    def run(self) -> None:
        """Serve until `close`."""
        self._server.serve_forever(0.02)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def sending(broadcast: Broadcast, manner: Manner = USUAL) -> Iterator[RtpServer]:
    server = RtpServer(broadcast, manner)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """Print nothing: viewers that leave are usual."""


class _Viewer:
    """One connection."""

    def __init__(self, line: socket.socket, broadcast: Broadcast, manner: Manner) -> None:
        self._line = line
        self._broadcast = broadcast
        self._manner = manner
        self._file = line.makefile("rb")
        self._udp: tuple[socket.socket, int] | None = None  # and the viewer's port
        self._stale = list(manner.logins or ())
        self._nonces = 1
        self._heard_s = 0.0
        self._sending = threading.Lock()

    def serve(self) -> None:
        """Answer until the viewer leaves; the pictures are sent after the answer to PLAY."""
        try:
            while request := self._request():
                self._heard_s = time.monotonic()
                with self._sending:
                    self._line.sendall(self._answer(*request).encode())
                if request[0] != "PLAY":
                    continue
                if self._manner.patience_s is None:
                    self._send()
                else:
                    threading.Thread(target=self._send_with_patience, daemon=True).start()
        finally:
            self._file.close()
            if self._udp is not None:
                self._udp[0].close()

    def _request(self) -> tuple[str, str, dict[str, str]] | None:
        """Return the next request; None at the end. Skips the viewer's RTCP."""
        while (begin := self._file.read(1)) == b"$":
            _, length = struct.unpack(">BH", self._file.read(3))
            self._file.read(length)
        if not begin:
            return None
        method, uri, _ = (begin + self._file.readline()).decode().split()
        headers = dict[str, str]()
        while text := self._file.readline().decode().strip():
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        return method, uri, headers

    def _answer(self, method: str, uri: str, headers: dict[str, str]) -> str:
        body, lines = "", ["RTSP/1.0 200 OK", f"CSeq: {headers['cseq']}", _session(self._manner)]
        if self._manner.logins is not None and not self._let_in(method, headers):
            challenge = f'realm="camera", nonce="{self._nonces}"'
            lines[0] = "RTSP/1.0 401 Unauthorized"
            lines.append(f"WWW-Authenticate: Digest {challenge}, stale={self._nonces > 1}")
        elif method == "OPTIONS":
            lines.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
        elif method == "DESCRIBE":
            body = self._manner.sdp(self._broadcast.sdp())
            lines += [f"Content-Base: {uri}/", "Content-Type: application/sdp"]
        elif method == "SETUP" and self._manner.refuses_udp and "client_port" in str(headers):
            lines[0] = "RTSP/1.0 461 Unsupported Transport"
        elif method == "SETUP":
            lines.append(f"Transport: {self._set_up(headers['transport'])}")
        lines += [f"Content-Length: {len(body)}", "", body]
        return "\r\n".join(lines)

    def _let_in(self, method: str, headers: dict[str, str]) -> bool:
        if method in self._stale:
            self._stale.remove(method)
            self._nonces += 1
        told = dict(re.findall(r'(\w+)="([^"]*)"', headers.get("authorization", "")))
        user, asked = _md5("u:camera:p"), _md5(f"{method}:{told.get('uri')}")
        return told.get("response") == _md5(f"{user}:{self._nonces}:{asked}")

    def _set_up(self, wanted: str) -> str:
        ports = re.search(r"client_port=(\d+)-\d+", wanted)
        if ports is None:
            return wanted
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        self._udp = udp, int(ports[1])
        port = udp.getsockname()[1]
        return f"{wanted};server_port={port}-{port + 1}"

    def _send_with_patience(self) -> None:
        with suppress(OSError):
            self._send()
            self._line.shutdown(socket.SHUT_RDWR)

    def _send(self) -> None:
        hurry = tail(self._broadcast.film)
        for index, packets in enumerate(self._broadcast.packets()):
            if self._manner.patience_s is not None:
                time.sleep(1 / FPS)
                if time.monotonic() > self._heard_s + self._manner.patience_s:
                    return
            elif index >= hurry:
                time.sleep(TAIL_S)
            if self._udp is None:
                framed = [b"$\x00" + struct.pack(">H", len(one)) + one for one in packets]
                asked = b"OPTIONS * RTSP/1.0\r\nCSeq: %d\r\n\r\n" % index
                with self._sending:
                    self._line.sendall(asked * self._manner.asks + b"".join(framed))
                continue
            udp, port = self._udp
            while _waiting_bytes(port) > MOST_WAITING_BYTES:
                time.sleep(POLL_S)
            for one in packets:
                udp.sendto(one, ("127.0.0.1", port))


def _session(manner: Manner) -> str:
    return f"Session: 7;timeout={60 if manner.patience_s is None else manner.patience_s}"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 - what RFC 2069 says


def _waiting_bytes(port: int) -> int:
    """Return how many bytes wait in a UDP socket of this machine; 0 if there is none."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        _, local, _, _, queues, *_ = line.split()
        if int(local.partition(":")[2], 16) == port:
            return int(queues.partition(":")[2], 16)
    return 0


def _parameters(codec: Codec, sets: tuple[bytes, ...]) -> list[str]:
    """Return the format parameters of an SDP."""
    coded = [base64.b64encode(one).decode() for one in sets]
    if codec == "h264":
        return [
            "packetization-mode=1",
            *([f"sprop-parameter-sets={','.join(coded)}"] if sets else []),
        ]
    names = {32: "vps", 33: "sps", 34: "pps"}
    return [
        f"sprop-{names[nal_kind(codec, one)]}={text}" for one, text in zip(sets, coded, strict=True)
    ] or ["tx-mode=SRST"]
