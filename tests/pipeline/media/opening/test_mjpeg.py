"""MJPEG over HTTP as servers send it: every picture arrives, byte for byte.

Each habit is one of a camera or program that its users have reported.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from pipeline.cameras.capture.connecting import Connecting
from pipeline.cameras.capture.live import LiveSource
from pipeline.cameras.values import Picture, PictureFate
from pipeline.clock import SystemClock
from pipeline.errors import CameraLostError, LossReason
from pipeline.media.address import Address
from pipeline.media.opening.media import Limits
from tests.pipeline.media.opening.multipart import MULTIPART, Part, jpeg, part
from tests.pipeline.media.opening.sources import by_source

JPEGS = [jpeg(n) for n in range(4)]


@contextmanager
def answering(*answers: bytes, piece_bytes: int = 1 << 20) -> Iterator[tuple[str, list[bytes]]]:
    """Answer the connections one by one, the last answer again and again.

    Yields the URL, and the requests that came.
    """
    over, requests = threading.Event(), list[bytes]()

    def serve(server: socket.socket) -> None:
        while not over.is_set():
            with suppress(OSError), closing(server.accept()[0]) as line:
                requests.append(line.recv(4096))
                answer = answers[min(len(requests), len(answers)) - 1]
                for at in range(0, len(answer), piece_bytes):
                    line.sendall(answer[at : at + piece_bytes])

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/video", requests
        over.set()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        thread.join()


def answer(body: bytes, *, kind: str = MULTIPART, head: str = "") -> bytes:
    kind = kind and f"Content-Type: {kind}\r\n"
    return f"HTTP/1.1 200 OK\r\n{kind}{head}\r\n".encode() + body


def seen(url: str, count: int, *, hz: float = 20.0, stall_s: float = 2) -> list[object]:
    """Return what a camera gives, JPEGs as their bytes, until it is lost or `count` are there."""
    how = Connecting(Limits(connect_s=5, read_s=stall_s), snapshots_hz=hz)
    live = LiveSource(lambda: Address.of(url, {}), how, clock=SystemClock())
    found = list[object]()
    with suppress(CameraLostError):
        for one in live.pictures(threading.Event()):
            if one is not None:
                found.append(one.jpeg if isinstance(one, Picture) else one)
            if len(found) == count:
                break
    return found


PARTS: dict[str, Part] = {
    "as it should be": part,
    "no length": lambda one: part(one, length=None),
    "a length of zero": lambda one: part(one, length=-len(one)),
    "300 bytes too many": lambda one: part(one, length=300),
    "200 bytes too few": lambda one: part(one, length=-200),
    "2 bytes too few": lambda one: part(one, length=-2),
    "2 bytes too many": lambda one: part(one, length=2),
    "a line without colon": lambda one: part(one, more=b"X-Weird\r\n"),
    "no line but the boundary": lambda one: b"--frame\r\n\r\n" + one + b"\r\n",
    "line feeds only": lambda one: part(one).replace(b"\r\n", b"\n", 4),
    "a boundary without dashes": lambda one: part(one, line=b"frame\r\n"),
    "more dashes": lambda one: part(one, line=b"----frame\r\n"),
    "a boundary that ends all": lambda one: part(one, line=b"--frame--\r\n"),
    "a blank after the boundary": lambda one: part(one, line=b"--frame \r\n"),
    "another boundary than announced": lambda one: part(one, line=b"--other\r\n"),
    "each boundary twice": lambda one: part(one, line=b"--frame\r\n--frame\r\n"),
    "a blank line first": lambda one: b"\r\n\r\n" + part(one),
    "a boundary behind": lambda one: part(one, line=b"", after=b"\r\n--frame\r\n"),
    "no line break behind": lambda one: part(one, after=b""),
    "no boundary at all": lambda one: part(one, line=b""),
    "image/jpg": lambda one: part(one, kind=b"Content-Type: image/jpg\r\n"),
    "image/pjpeg": lambda one: part(one, kind=b"content-type:Image/PJPEG\r\n"),
    "a charset": lambda one: part(one, kind=b"Content-Type: image/jpeg; charset=binary\r\n"),
    "no type": lambda one: part(one, kind=b""),
    "text between": lambda one: b"--frame\r\nContent-Type: text/plain\r\n\r\nhello\r\n" + part(one),
    "sound between": lambda one: (
        part(one) + b"--frame\r\nContent-Type: audio/basic\r\n\r\n" + b"\xff\x7f\xd8\0" * 500
    ),
    "zeros behind": lambda one: part(one + bytes(16)),
    "a second picture in the part": lambda one: part(one + jpeg(99)),
    "bare": lambda one: one,
    "bare with zeros": lambda one: one + bytes(9),
}


@pytest.mark.parametrize("name", PARTS)
def test_every_picture_arrives_whatever_its_part_is_like(name: str) -> None:
    body = b"".join(PARTS[name](one) for one in JPEGS)
    with answering(answer(body)) as (url, _):
        assert seen(url, 5) == JPEGS


KINDS = [
    "multipart/x-mixed-replace",
    "multipart/x-mixed-replace;boundary=--frame",
    'multipart/x-mixed-replace; boundary="frame"',
    "multipart/x-mixed-replace; BOUNDARY=frame",
    "multipart/x-mixed-replace; boundary=other",
    "multipart/x-mixed-replace; boundary=(*[",
    "multipart/mixed; boundary=frame",
    "image/jpeg",
    "video/x-motion-jpeg",
    "video/mjpeg",
    "application/octet-stream",
    "text/html",
    "",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", [part, bytes], ids=["parts", "bare"])
def test_every_picture_arrives_whatever_type_is_announced(way: Part, kind: str) -> None:
    body = b"".join(way(one) for one in JPEGS)
    with answering(answer(body, kind=kind)) as (url, _):
        assert seen(url, 5) == JPEGS


PREAMBLES = {
    "a text": b"Hello, this is a camera\r\n\r\n",
    "a boundary twice": b"--frame\r\n",
    "blank lines": b"\r\n\r\n",
    "the end of a picture": JPEGS[3][-200:] + b"\r\n",
}


@pytest.mark.parametrize("name", PREAMBLES)
def test_what_stands_before_the_first_picture_is_passed_over(name: str) -> None:
    body = PREAMBLES[name] + b"".join(part(one) for one in JPEGS)
    with answering(answer(body)) as (url, _):
        assert seen(url, 5) == JPEGS


@pytest.mark.parametrize("piece_bytes", [7, 700])
def test_pictures_may_come_in_pieces(piece_bytes: int) -> None:
    body = b"".join(part(one) for one in JPEGS)
    pieces = [body[at : at + 50] for at in range(0, len(body), 50)]
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"
    answers = answer(body), answer(chunked, head="Transfer-Encoding: chunked\r\n")
    for one in answers:
        with answering(one, piece_bytes=piece_bytes) as (url, _):
            assert seen(url, 5) == JPEGS


@pytest.mark.parametrize("cut", [60, 300, -20, -2])
@pytest.mark.parametrize(
    "way", [part, PARTS["no length"], bytes], ids=["parts", "no length", "bare"]
)
def test_a_picture_that_is_cut_off_is_counted_and_the_others_arrive(way: Part, cut: int) -> None:
    broken = part(JPEGS[0][:cut]) if way is part else way(JPEGS[0][:cut])
    body = way(JPEGS[1]) + broken + b"".join(way(one) for one in [*JPEGS[2:], *JPEGS])
    with answering(answer(body)) as (url, _):
        found = seen(url, 20)
    assert PictureFate.DAMAGED in found
    whole = [one for one in found if isinstance(one, bytes)]
    assert whole in ([JPEGS[1], *JPEGS[2:], *JPEGS], [JPEGS[1], *JPEGS[3:], *JPEGS])


@pytest.mark.parametrize(
    "body", [b"\xff\xd8\xff\xe0" + bytes(10 << 20), b"no picture " * (1 << 20)], ids=["SOI", "text"]
)
def test_an_answer_without_end_is_refused(body: bytes) -> None:
    how = Connecting(Limits(connect_s=20, read_s=5))
    with answering(answer(body)) as (url, _):
        live = LiveSource(lambda: Address.of(url, {}), how, clock=SystemClock())
        with pytest.raises(CameraLostError, match="9 MiB") as lost:
            list(live.pictures(threading.Event()))
    assert lost.value.reason is LossReason.REFUSED


@pytest.mark.parametrize("kind", ["image/jpeg", "", MULTIPART])
def test_a_snapshot_is_requested_again_and_again(kind: str) -> None:
    with answering(*[answer(one, kind=kind) for one in JPEGS]) as (url, requests):
        assert seen(url, 4) == JPEGS
    assert len(requests) == 4


def test_a_snapshot_is_requested_at_a_steady_rate() -> None:
    clock = SystemClock()
    with answering(answer(JPEGS[0], kind="image/jpeg")) as (url, _):
        began_s = clock.monotonic()
        assert seen(url, 5, hz=10) == [JPEGS[0]] * 5
        assert clock.monotonic() - began_s >= 0.4


def test_a_snapshot_that_has_not_changed_is_not_sent_again_and_counts_as_the_same() -> None:
    first = answer(JPEGS[0], kind="image/jpeg", head='ETag: "7"\r\nLast-Modified: yesterday\r\n')
    same = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    with answering(first, same, same, answer(JPEGS[1])) as (url, requests):
        assert seen(url, 4) == [JPEGS[0], JPEGS[0], JPEGS[0], JPEGS[1]]
    asked = [b'If-None-Match: "7"\r\nIf-Modified-Since: yesterday\r\n' in one for one in requests]
    assert asked == [False, True, True, True]


def test_a_snapshot_that_fails_now_and_then_ends_no_connection() -> None:
    good, busy = answer(JPEGS[0], kind="image/jpeg"), b"HTTP/1.1 503 busy\r\n\r\n"
    cut = answer(JPEGS[1][:200], kind="image/jpeg")
    with answering(good, busy, b"", cut, answer(JPEGS[2])) as (url, _):
        assert seen(url, 2) == [JPEGS[0], JPEGS[2]]


def test_a_snapshot_whose_login_was_changed_is_refused() -> None:
    how = Connecting(Limits(connect_s=5, read_s=5), snapshots_hz=20)
    refused = b"HTTP/1.1 401 no\r\n\r\n"
    with answering(answer(JPEGS[0]), refused) as (url, _):
        live = LiveSource(lambda: Address.of(url, {}), how, clock=SystemClock())
        with pytest.raises(CameraLostError, match="refuses the login"):
            list(live.pictures(threading.Event()))


def test_run_reads_a_picture_of_a_web_server_once() -> None:
    with answering(answer(JPEGS[0], kind="image/jpeg")) as (url, requests):
        assert by_source(url) == 1
    assert len(requests) == 1
