"""A hostile RTSP server cannot send us to another host without permission."""

import pytest

from pipeline.media.opening.access import Access
from tests.cameras.hostile import canary, reply, rtsp
from tests.pipeline.media.opening.sources import WAYS, Way, refusal

OPTIONS = reply("200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY")
SDP = "v=0\r\ns=x\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
DESCRIPTION = reply("200 OK", "Content-Type: application/sdp", f"Content-Length: {len(SDP)}") + SDP
GOOD = {"OPTIONS": OPTIONS, "DESCRIBE": DESCRIPTION}
BASIC = reply("401 Unauthorized", 'WWW-Authenticate: Basic realm="x"')
DIGEST = reply("401 Unauthorized", 'WWW-Authenticate: Digest realm="x", nonce="n"')


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "305 Use Proxy"])
@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP"])
@pytest.mark.parametrize("question", [None, BASIC, DIGEST], ids=["open", "basic", "digest"])
def test_a_redirect_to_another_host_is_refused(
    way: Way, status: str, method: str, question: str | None
) -> None:
    with canary() as spied:
        moved = reply(status, f"Location: rtsp://{spied.at}/stolen")

        def answer(asked: str, known: str) -> str:
            if asked != method:
                return GOOD[asked]
            return question if question is not None and not known else moved

        with rtsp(answer) as server:
            words = refusal(way, f"rtsp://me:S3cr3t@{server.at}/gate")
    assert spied.calls == []
    if method != "SETUP":  # libav never follows that one
        assert "it refers to another address, or breaks RTSP; `redirects = true`" in words


@pytest.mark.parametrize("location", ["", "Location: http://[x", "Location: \x1b[31mrtsp:"])
def test_a_redirect_to_nowhere_is_refused(location: str) -> None:
    with rtsp(lambda *_: reply("302 Found", location)) as server:
        for way in WAYS:
            words = refusal(way.values[0], f"rtsp://{server.at}/gate")  # type: ignore[arg-type]
            assert "it refers to another address, or breaks RTSP; `redirects = true`" in words


@pytest.mark.parametrize("way", WAYS)
def test_an_allowed_redirect_is_followed(way: Way) -> None:
    with rtsp(lambda *_: reply("404 Not Found")) as other:
        moved = reply("302 Found", f"Location: rtsp://{other.at}/gate")
        with rtsp(lambda *_: moved) as server:
            words = refusal(way, f"rtsp://{server.at}/gate", Access(redirects=True))
    assert "no stream of that path (404)" in words
    assert other.requests != []


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_speaks_no_rtsp_is_refused(way: Way) -> None:
    with rtsp(lambda *_: "HTTP/1.0 200 OK\r\n\r\n") as server:
        assert refusal(way, f"rtsp://{server.at}/gate") != ""
