"""HTTP as cameras speak it: logins, slow servers, broken answers, seeks."""

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from pipeline.clock import SystemClock
from pipeline.errors import CameraLostError
from pipeline.media.address import Address
from pipeline.media.opening.access import STRICT
from pipeline.media.opening.media import Limits, open_media
from pipeline.media.opening.media_url import MediaUrl, UrlLogin
from pipeline.media.opening.over_http.http_login import authorization
from tests.cameras.hostile import Page, web
from tests.pipeline.media.opening.sources import WAYS, Way, by_source, refusal, video

ROOT = Path(__file__).parents[4]


@contextmanager
def saying(*parts: bytes, endless: bytes = b"", pause_s: float = 0.0) -> Iterator[str]:
    """Answer one connection at a time with these bytes; then repeat `endless` until it closes."""
    over = threading.Event()

    def serve(server: socket.socket) -> None:
        while not over.is_set():
            with suppress(OSError), closing(server.accept()[0]) as line:
                line.recv(4096)
                for part in parts:
                    line.sendall(part)
                    over.wait(pause_s)
                while endless and not over.wait(0.05):
                    line.sendall(endless)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        over.set()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        thread.join()


GOOD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        (b"nothing like HTTP\r\n\r\n",),
        (b"",),
        (GOOD + b"A: b\r\n" * 200 + b"\r\n",),
        (GOOD + b"A: " + b"b" * 70_000 + b"\r\n\r\n",),
        (GOOD + b"Content-Length: many\r\n\r\n",),
        (GOOD + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n",),
        (GOOD + b"Accept-Ranges: bytes\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",),
        (GOOD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",),
        (GOOD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",),
        (b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n",),
        (b"HTTP/1.1 302 Found\r\nLocation: http://a b/\r\n\r\n",),
        (b"HTTP/1.1 302 Found\r\nLocation: http://x:99999999/\r\n\r\n",),
        (b"HTTP/1.1 401 no\r\nWWW-Authenticate: Digest \r\n\r\n",),
        (b"HTTP/1.1 999 what\r\n\r\n",),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_a_broken_answer_is_refused(way: Way, parts: tuple[bytes, ...]) -> None:
    with saying(*parts) as at:
        assert "S3cr3t" not in refusal(way, f"http://me:S3cr3t@{at}/x")


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nA: ", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (GOOD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        (GOOD + b"\r\n", b"\x00"),
    ],
    ids=["header", "continue", "chunk", "body"],
)
def test_a_server_that_sends_a_byte_now_and_then_is_given_up_in_time(
    head: bytes, drop: bytes
) -> None:
    limits, clock = Limits(connect_s=0.5, read_s=0.5), SystemClock()
    with saying(head, endless=drop) as at:
        address = Address.of(f"http://{at}/x", {})
        with pytest.raises(CameraLostError, match=r"no answer in 0\.5 s"):
            open_media(address, access=STRICT, transport="tcp", limits=limits, clock=clock)


@pytest.mark.parametrize("password", ["p@ss/w?rd#1:2", "pässwörd", " ", ""])
@pytest.mark.parametrize("way", WAYS)
def test_a_login_of_any_characters_is_sent_when_the_server_asks(
    way: Way, password: str, tmp_path: Path
) -> None:
    (tmp_path / "login").write_text(f"me:{password}x")
    with web({"/gate.ts": Page(video(tmp_path / "gate.ts"), login=True)}) as server:
        assert way(f"http://${{file:{tmp_path}/login}}@{server.at}/gate.ts") == 5
    known = authorization(["Basic"], UrlLogin("me", f"{password}x"), method="GET", target="/")
    assert [header for _, header in server.asked][:2] == ["", known]


@pytest.mark.parametrize("url", ["http://me:\udcff@{}/x", "http://{}/\udcff?\udcff", "http://{}/ä"])
@pytest.mark.parametrize("way", WAYS)
def test_an_address_may_have_bytes_that_are_no_utf_8(way: Way, url: str) -> None:
    with web({"/x": Page(login=True)}) as server:
        assert refusal(way, url.format(server.at)) != ""
    assert server.asked != []


@pytest.mark.parametrize("question", ["Basic", 'Digest realm="x", nonce="n"'])
def test_a_login_may_have_bytes_that_are_no_utf_8(question: str) -> None:
    login = "http://${LOGIN}@cam/"
    place = MediaUrl.of(Address.of(login, {"LOGIN": "me:\udcff"}).url)
    assert place.login == UrlLogin("me", "\udcff")
    assert authorization([question], place.login, method="GET", target="/") is not None


@pytest.mark.parametrize(("algorithm", "make"), [("MD5", hashlib.md5), ("SHA-256", hashlib.sha256)])
@pytest.mark.parametrize("qop", ["", ', qop="auth,auth-int"'])
def test_digest_is_answered_as_the_standard_says(algorithm: str, make: object, qop: str) -> None:
    def hashed(text: str) -> str:
        return make(text.encode()).hexdigest()  # type: ignore[operator,no-any-return]

    asked = f'Digest realm="a \\"b\\"", nonce="n", algorithm={algorithm}{qop}'
    answer = authorization(["Basic", asked], UrlLogin("me", "pass"), method="GET", target="/x")
    fields = dict(re.findall(r'(\w+)="?([^",]+)', answer or ""))
    first, second = hashed('me:a \\"b\\":pass'), hashed("GET:/x")
    middle = f":n:00000001:{fields['cnonce']}:auth:" if qop else ":n:"
    assert fields["response"] == hashed(f"{first}{middle}{second}")


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("http://cam", ("http", "cam", 80), "/"),
        ("https://a:b@cam:8443/x y?q=ä#f", ("https", "cam", 8443), "/x%20y?q=%C3%A4"),
        ("http://a@b:c@[fd00::7]:81/", ("http", "fd00::7", 81), "/"),
        ("rtsp://cam/a%2Fb", ("rtsp", "cam", 554), "/a%2Fb"),
    ],
)
def test_a_url_leads_to_a_host_and_a_port(
    url: str, origin: tuple[str, str, int], target: str
) -> None:
    place = MediaUrl.of(url)
    assert (place.origin, place.target) == (origin, target)
    assert "@" not in place.url + repr(place)


@pytest.mark.parametrize(
    "url", ["http://", "http://me:S3cr3t", "http://me:S3/cr3t@cam/", "http://["]
)
@pytest.mark.parametrize("way", WAYS)
def test_an_address_without_a_host_is_refused_with_the_way_to_write_a_password(
    way: Way, url: str
) -> None:
    words = refusal(way, url)
    assert "the address has no host and port; are @ / : ? # in its password written as" in words
    assert "S3" not in words


def test_a_file_whose_index_is_at_its_end_is_read_by_seeking(tmp_path: Path) -> None:
    film = video(tmp_path / "film.mp4", kind="mp4", frames=20)
    at = film.index(b"moov") - 4  # before the index a box that is skipped, too large to be read
    film = film[:at] + (1 << 20).to_bytes(4, "big") + b"free" + bytes((1 << 20) - 8) + film[at:]
    with web({"/film.mp4": Page(film, ranges=True)}) as server:
        assert by_source(f"http://{server.at}/film.mp4") == 20
        assert len(server.asked) > 1


def test_sources_are_opened_for_reading_in_one_place() -> None:
    found = {
        str(file.relative_to(ROOT))
        for folder in ("pipeline", "engines")
        for file in (ROOT / folder).rglob("*.py")
        if "av.open(" in file.read_text()
    }
    writers = {"pipeline/offline/overlay/reel.py", "engines/train/people/sample_clips.py"}
    assert found == writers | {"pipeline/media/opening/media.py"}
