"""The sources of the matrix: what varies, and how each source is viewed and judged."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipeline.media.opening.media import Transport
from tests.cameras.films import Codec, Film, Order, Slices, decoded, right
from tests.cameras.matrix.pairs import Combination, all_of, in_turn
from tests.cameras.matrix.viewing import Verdict, judged, viewing
from tests.cameras.mounts import RECORD_SETS, Mount
from tests.cameras.rtp import Packing
from tests.cameras.rtp_server import Broadcast, Sets, sending
from tests.cameras.rtsp import RtspServer

LOSS = 0.04
SMALL_MTU = 400  # pictures of this size fill several packets
GST_LOSES_EVERY = 23  # packets: about 4 %, and no rhythm of the pictures
GST_FPS = 40
GST_PICTURES = 80  # two seconds: parameter sets of config-interval=1 come twice
UNENDING = 100_000


@dataclass(frozen=True, slots=True)
class OwnSource:
    """Our own RTP sender. `seconds`: from keyframe to keyframe, at `films.FPS`."""

    codec: Codec
    slices: Slices
    sets: Sets
    seconds: int
    order: Order
    joined: bool
    transport: Transport
    loss: float
    resized: bool
    checksums: bool
    cabac: bool

    @property
    def film(self) -> Film:
        group = 4 * self.seconds
        groups = {1: 10, 10: 3, 60: 1}[self.seconds]
        return Film(
            self.codec,
            self.slices,
            group,
            max(groups, 2) if self.resized else groups,
            self.order,
            self.checksums,
            self.cabac,
            self.resized,
        )

    def judge(self) -> Verdict:
        """View the stream to its end."""
        packing = Packing(SMALL_MTU, joined=self.joined)
        seed = zlib.crc32(str(self).encode())
        film = self.film
        seen = []
        with sending(Broadcast(film, self.sets, packing, self.loss, seed)) as server:
            for one in viewing(server.url, self.transport):
                if one is not None:
                    seen.append(one)
                    if (one[0] or 0) >= film.last_key:
                        break
        return judged(seen, right(film), first=0, last=film.last_key)


@dataclass(frozen=True, slots=True)
class GstSource:
    """A GStreamer camera (x264enc or x265enc, rtph264pay or rtph265pay)."""

    codec: Codec
    slices: int
    sets_every: int  # config-interval
    group: int
    transport: Transport
    loss: float
    resized: bool
    checksums: bool
    cabac: bool = False

    def mount(self, folder: Path) -> Mount:
        path = str(zlib.crc32(str(self).encode()))
        return Mount(
            path,
            codec="h264" if self.codec == "h264" else "h265",
            width=160,
            height=128,
            fps=GST_FPS,
            gop=self.group,
            slices=self.slices,
            sets_every=self.sets_every,
            checksums=self.checksums,
            record=str(folder / path),
        )

    def judge(self, server: RtspServer, folder: Path) -> Verdict:
        """View the camera for `GST_PICTURES` pictures, from its first picture on."""
        mount = self.mount(folder)
        server.lose(mount.path, GST_LOSES_EVERY if self.loss else 0)
        seen = []
        pictures = islice(viewing(server.url(mount.path), self.transport), GST_PICTURES)
        for n, one in enumerate(pictures):
            if self.resized and n == GST_PICTURES // 2:
                server.resize(mount.path, 192, 160)
            if one is not None:
                seen.append(one)
        made = recorded(self.codec, Path(mount.record))
        newest = max((number for number, _ in seen if number is not None), default=0)
        return judged(seen, made, first=min(made), last=newest)


Source = OwnSource | GstSource


def knowable(source: Source) -> bool:
    """Whether each wrong picture can be known.

    Not when new parameter sets of H.265 are lost that do not come before each keyframe.
    """
    if isinstance(source, OwnSource):
        seldom = source.sets in ("sdp", "seconds")
    else:
        seldom = source.sets_every in (0, 1)
    lost = bool(source.codec == "hevc" and source.loss and source.resized and seldom)
    return source.checksums or not lost


def fault(source: Source, verdict: Verdict) -> str | None:
    """Return what is wrong with the product's verdict on a source; None if it is as promised."""
    if verdict.wrong and knowable(source):
        return f"{verdict.wrong} wrong"
    if verdict.left_out and not source.loss:
        return f"{verdict.left_out} left out"
    return None if verdict.right or source.loss else "nothing was handed on"


def own_combinations() -> list[Combination]:
    factors = {
        "codec": ("h264", "hevc"),
        "slices": ("1", "3", "auto", "by size"),
        "sets": ("sdp", "keyframes", "slices", "seconds", "band"),
        "transport": ("tcp", "udp"),
        "loss": (0.0, LOSS),
        "resized": (False, True),
        "checksums": (False, True),
        "cabac": (False, True),
    }
    more = {
        "seconds": (1, 10, 60),
        "order": ("as shown", "reordered", "open groups"),
        "joined": (False, True),
    }
    return in_turn(all_of(factors, _exists), more)


def gst_combinations() -> list[Combination]:
    factors = {
        "codec": ("h264", "hevc"),
        "slices": (1, 3, 0),
        "sets_every": (0, 1, -1),
        "transport": ("tcp", "udp"),
        "loss": (0.0, LOSS),
        "checksums": (False, True),
        "cabac": (False, True),
    }
    more = {"resized": (False, True), "group": (GST_FPS // 4, UNENDING)}
    return in_turn(all_of(factors, _exists), more)


def _exists(one: Combination) -> bool:
    if one["codec"] == "h264":
        return not one["checksums"] and not (one["cabac"] and "sets_every" in one)
    return one["cabac"] and one["slices"] not in ("auto", "by size", 0)  # x264's alone


def recorded(codec: Codec, path: Path) -> dict[int, str]:
    """Return the digests of all pictures of a recording by number."""
    found = dict[int, str]()
    for sets, units in _parts(path.read_bytes()):
        found |= decoded(codec, units, extradata=sets)
    return found


def _parts(content: bytes) -> Iterator[tuple[bytes, Sequence[bytes]]]:
    parts = list[tuple[bytes, list[bytes]]]()
    while len(content) > 5:
        kind, end = content[4:5], 5 + int.from_bytes(content[:4])
        if end > len(content):  # it is being written
            break
        if kind == RECORD_SETS:
            parts.append((content[5:end], []))
        else:
            parts[-1][1].append(content[5:end])
        content = content[end:]
    yield from parts
