"""Tokens for OAUTHBEARER, from a real token endpoint on loopback."""

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from pipeline.broker.kafka.vendor.connecting.tokens import TokenSource
from pipeline.connection import OAuth
from pipeline.errors import SecurityError, TokenError
from pipeline.secrets import Secret

WORD = "s3cret/with:signs"
RAW = 0  # instead of a status: the answer is these bytes


class Endpoint(ThreadingHTTPServer):
    """Answers every request with the next of `answers`, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, object]] = []
        self.asked: list[tuple[str, dict[str, list[str]]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/token/{WORD}?key={WORD}"

    def source(self, scope: str | None = None) -> TokenSource:
        return TokenSource(OAuth(self.url, "camera one", Secret(WORD), scope), now=lambda: self.now)

    now = 0.0


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((self.headers["Authorization"], parse_qs(form)))
        code, body = self.server.answers.pop(0)
        if code == RAW:
            self.wfile.write(bytes(body))  # type: ignore[call-overload]
            return
        self.send_response(code)
        if code == 302:
            self.send_header("Location", str(body))
        self.end_headers()
        self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        del format, args


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_token_is_asked_for_with_the_clients_login_and_scope(endpoint: Endpoint) -> None:
    endpoint.answers = [(200, {"access_token": "abc", "expires_in": 100})]
    assert endpoint.source("kafka").token() == "abc"
    ((login, form),) = endpoint.asked
    encoded = b64encode(b"camera%20one:s3cret%2Fwith%3Asigns").decode()
    assert login == f"Basic {encoded}"
    assert form == {"grant_type": ["client_credentials"], "scope": ["kafka"]}


def test_a_token_is_kept_for_most_of_its_life(endpoint: Endpoint) -> None:
    endpoint.answers = [(200, {"access_token": t, "expires_in": 100}) for t in ("one", "two")]
    source = endpoint.source()
    first = source.token()
    endpoint.now = 79.0
    kept = source.token()
    endpoint.now = 80.0
    assert (first, kept, source.token()) == ("one", "one", "two")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {"error": "invalid_client"}), "refuses client camera one: HTTP 401"),
        ((302, "http://127.0.0.1:1/stolen"), "HTTP 302"),
        ((200, b"<html>"), "not with a bearer token"),
        ((200, b"[" * 60_000), "not with a bearer token"),
        ((200, b" " * 70_000), "not with a bearer token"),
        ((200, {"access_token": 5}), "not with a bearer token"),
        ((200, {"access_token": "a\x01b"}), "not with a bearer token"),
    ],
)
def test_what_is_no_token_is_an_error_that_shows_no_secret(
    endpoint: Endpoint, answer: tuple[int, object], words: str
) -> None:
    endpoint.answers = [answer]
    with pytest.raises(SecurityError, match=words) as caught:
        endpoint.source().token()
    assert WORD not in str(caught.value)


@pytest.mark.parametrize("code", [429, 500, 503])
def test_an_endpoint_that_cannot_answer_now_is_asked_again(endpoint: Endpoint, code: int) -> None:
    endpoint.answers = [(code, {}), (200, {"access_token": "abc"})]
    source = endpoint.source()
    with pytest.raises(TokenError, match=f"HTTP {code}"):
        source.token()
    assert source.token() == "abc"


def test_an_endpoint_that_is_away_is_named() -> None:
    source = TokenSource(OAuth("http://127.0.0.1:1/token", "me", Secret(WORD)))
    with pytest.raises(TokenError, match=r"http://127\.0\.0\.1:1 does not answer: .*refused"):
        source.token()


@pytest.mark.parametrize("answer", [b"no HTTP\r\n\r\n", b"HTTP/1.0 200 a\r\na:" + b"b" * 70_000])
def test_an_endpoint_that_speaks_no_http_is_named(endpoint: Endpoint, answer: bytes) -> None:
    endpoint.answers = [(RAW, answer)]
    with pytest.raises(TokenError, match=r"http://127\.0\.0\.1:\d+ does not answer by HTTP"):
        endpoint.source().token()


@pytest.mark.parametrize("life", [b"9" * 400, b"1e400", b"-5", b"NaN", b'"x"', b"null", b"true"])
def test_no_life_of_a_token_is_longer_than_a_day(endpoint: Endpoint, life: bytes) -> None:
    first = b'{"access_token": "one", "expires_in": %b}' % life
    endpoint.answers = [(200, first), (200, {"access_token": "two"})]
    source = endpoint.source()
    assert source.token() == "one"
    endpoint.now = 86_400.0
    assert source.token() == "two"


def test_nothing_shows_the_path_of_an_endpoint(endpoint: Endpoint) -> None:
    assert WORD not in repr(OAuth(endpoint.url, "me", Secret("${X}")))
