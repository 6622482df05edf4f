"""What an RTSP server refuses is named, with the way out."""

import re
import ssl
import threading
from pathlib import Path

import pytest

from pipeline.cameras.capture.connecting import Connecting
from pipeline.cameras.capture.live import LiveSource
from pipeline.clock import SystemClock
from pipeline.errors import CameraLostError
from pipeline.media.address import Address
from pipeline.media.opening.access import Access
from pipeline.media.opening.media import Transport
from tests.cameras.certificates import self_signed, server_side
from tests.cameras.hostile import Answer, reply, rtsp
from tests.pipeline.media.opening.sources import LIMITS
from tests.pipeline.media.opening.test_hostile_rtsp import BASIC, DIGEST, GOOD

SHA = 'WWW-Authenticate: Digest realm="x", nonce="n", algorithm=SHA-256'
SHA_ALONE = reply("401 Unauthorized", SHA)
SHA_AND_MD5 = reply("401 Unauthorized", SHA, 'WWW-Authenticate: Digest realm="x", nonce="n"')


def refused(
    answer: Answer, *, transport: Transport = "tcp", context: ssl.SSLContext | None = None
) -> str:
    """Return the words for a camera that answers so."""
    how = Connecting(LIMITS, transport, Access(verify=False))
    with rtsp(answer, context) as server:
        scheme = "rtsp" if context is None else "rtsps"
        url = f"{scheme}://me:S3cr3t@{server.at}/gate"
        live = LiveSource(lambda: Address.of(url, {}), how, clock=SystemClock())
        with pytest.raises(CameraLostError) as lost:
            list(live.pictures(threading.Event()))
    assert "S3cr3t" not in str(lost.value)
    return f"{lost.value.reason}: {lost.value}"


def saying(status: str, method: str) -> Answer:
    return lambda asked, _: reply(status) if asked == method else GOOD[asked]


@pytest.mark.parametrize(
    ("status", "method", "words"),
    [
        (
            "453 Not Enough Bandwidth",
            "SETUP",
            "^refused: .*mostly 453: not enough bandwidth.*close others",
        ),
        ("454 Session Not Found", "SETUP", "4xx, mostly 453"),
        (
            "503 Service Unavailable",
            "DESCRIBE",
            "^unreachable: .*5xx, mostly 503: unavailable.*close others",
        ),
        ("503 Service Unavailable", "SETUP", "5xx, mostly 503: unavailable"),
        ("400 Bad Request", "DESCRIBE", "calls the request wrong .400."),
        ("403 Forbidden", "DESCRIBE", "refuses the login"),
        ("404 Not Found", "DESCRIBE", "no stream of that path"),
    ],
)
def test_a_refusal_is_explained(status: str, method: str, words: str) -> None:
    assert re.search(words, refused(saying(status, method)))


@pytest.mark.parametrize(("transport", "other"), [("tcp", "udp"), ("udp", "tcp")])
def test_the_other_transport_is_named_if_one_is_refused(
    transport: Transport, other: Transport
) -> None:
    words = refused(saying("461 Unsupported Transport", "SETUP"), transport=transport)
    assert f"refused: the camera does not send by {transport} (461: unsupported" in words
    assert f'set `transport = "{other}"`' in words


def test_a_camera_that_sends_by_udp_alone_is_not_read_by_rtsps(tmp_path: Path) -> None:
    context = server_side(self_signed(tmp_path))
    words = refused(saying("461 Unsupported Transport", "SETUP"), context=context)
    assert "`rtsps` is read by tcp alone" in words


def test_a_login_that_is_not_supported_is_named() -> None:
    words = refused(lambda asked, _: GOOD[asked] if asked == "OPTIONS" else SHA_ALONE)
    assert "no login but Digest with SHA-256, which is not supported here" in words


@pytest.mark.parametrize("question", [BASIC, DIGEST, SHA_AND_MD5, reply("401 Unauthorized")])
def test_a_login_that_is_supported_is_called_wrong(question: str) -> None:
    words = refused(lambda asked, _: GOOD[asked] if asked == "OPTIONS" else question)
    assert "refuses the login" in words


SETUP = reply("200 OK", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1")


def closing(method: str) -> Answer:
    def answer(asked: str, _: str) -> str:
        if asked == method:
            raise ConnectionAbortedError  # the server of the test then closes the connection
        return GOOD.get(asked, SETUP)

    return answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (closing("OPTIONS"), "sends no RTSP that can be read, or no video"),
        (closing("PLAY"), "closed the connection before it sent anything"),
        (lambda asked, _: GOOD[asked] if asked == "OPTIONS" else reply("200 OK"), "or no video"),
    ],
    ids=["closed at once", "closed at last", "no description"],
)
def test_a_camera_that_breaks_off_is_called_neither_a_file_nor_a_device(
    answer: Answer, words: str
) -> None:
    assert words in refused(answer)
