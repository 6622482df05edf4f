"""The page's server: what it hands out, and to whom; hostile clients."""

import json
import urllib.parse
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path

import pytest

from pipeline.clock import ManualClock
from pipeline.errors import ConfigError
from pipeline.live.door import read_token
from pipeline.live.live_app import FILES
from pipeline.live.watchers import MOST_WATCHERS
from pipeline.records import Record
from tests.page.served_wall import ServedWall
from tests.pipeline.pictures import jpeg

TOKEN = "a token of many characters"  # noqa: S105 - of this test alone

pytestmark = pytest.mark.timeout(60)


class Site(ServedWall):
    """A served page with one stream, `cam-1`."""

    def __init__(self, token: str | None) -> None:
        super().__init__(ManualClock(), token=token)
        self.wall.take_frames([Record(0, 7, 1, b"cam-1", jpeg(48, 64, seed=1))])

    def ask(
        self, path: str, *, method: str = "GET", body: str | None = None, **headers: str
    ) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body, headers)
        return connection.getresponse()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site(None)
    yield made
    made.stop()


@pytest.fixture
def guarded() -> Iterator[Site]:
    made = Site(TOKEN)
    yield made
    made.stop()


def next_event(answer: HTTPResponse) -> tuple[str, object]:
    name = answer.readline().decode().strip().removeprefix("event: ")
    content = json.loads(answer.readline().decode().removeprefix("data: "))
    answer.readline()
    return name, content


def event_named(answer: HTTPResponse, wanted: str) -> object:
    while True:
        name, content = next_event(answer)
        if name == wanted:
            return content


@pytest.mark.parametrize("path", ["/", *FILES, "/nothing"])
def test_every_answer_allows_scripts_of_this_site_alone(site: Site, path: str) -> None:
    answer = site.ask(path)
    assert answer.status == (404 if path == "/nothing" else 200)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_has_no_inline_script_or_style_and_no_foreign_host(site: Site) -> None:
    for path in ("/", "/login", *FILES):
        text = site.ask(path).read().decode()
        assert "http:" not in text.replace("http://www.w3.org", "")
        assert "https:" not in text
        assert "style=" not in text
        assert "innerHTML" not in text
        assert "<script>" not in text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "10.0.0.7:9118", ""])
def test_without_a_token_no_other_name_is_answered(site: Site, host: str) -> None:
    assert site.ask("/", Host=host).status == 403
    assert site.ask("/picture/tile/cam-1", Host=host).status == 403


@pytest.mark.parametrize("host", ["localhost:9118", "127.0.0.1:1", "[::1]:9118", "localhost"])
def test_without_a_token_this_machine_is_answered(site: Site, host: str) -> None:
    assert site.ask("/", Host=host).status == 200


@pytest.mark.parametrize(
    "path", ["/events", "/picture/tile/cam-1", "/live.js", "/wall.js", "/nothing", "/look"]
)
def test_with_a_token_nothing_is_shown_without_it(guarded: Site, path: str) -> None:
    assert guarded.ask(path).status == 401
    assert guarded.ask(path, Cookie="longtake_live=guess").status == 401
    assert guarded.ask(path, Authorization="Bearer guess").status == 401


def test_a_browser_gets_in_with_the_token_and_keeps_a_cookie(guarded: Site) -> None:
    assert guarded.ask("/").headers["location"] == "/login"
    wrong = guarded.ask("/login", method="POST", body="token=guess")
    assert (wrong.status, wrong.headers["set-cookie"]) == (403, None)
    form = urllib.parse.urlencode({"token": TOKEN})
    right = guarded.ask("/login", method="POST", body=form)
    cookie = right.headers["set-cookie"]
    assert (right.status, TOKEN in cookie) == (303, False)
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert guarded.ask("/", Cookie=cookie.partition(";")[0]).status == 200
    assert guarded.ask("/", Authorization=f"Bearer {TOKEN}").status == 200


def test_another_host_wants_a_token_from_a_file_or_the_environment(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can be reached from other machines"):
        read_token(None, host="0.0.0.0")  # noqa: S104 - refused
    with pytest.raises(ConfigError, match="not the token") as refused:
        read_token(TOKEN, host="127.0.0.1")
    assert TOKEN not in str(refused.value)
    (tmp_path / "short").write_text("short")
    with pytest.raises(ConfigError, match="less than 16 characters"):
        read_token(f"${{file:{tmp_path / 'short'}}}", host="127.0.0.1")
    (tmp_path / "long").write_text(TOKEN)
    assert read_token(f"${{file:{tmp_path / 'long'}}}", host="0.0.0.0") == TOKEN  # noqa: S104
    assert read_token(None, host="::1") is None


def test_tiles_are_sent_of_what_a_page_says_that_it_shows(site: Site) -> None:
    events = site.ask("/events")
    _, hello = next_event(events)
    rows = event_named(events, "rows")
    assert isinstance(hello, dict)
    assert isinstance(rows, dict)
    assert rows["changed"] == {"cam-1": ["no predictions", ""]}
    look = {"watcher": hello["watcher"], "visible": ["cam-1"], "open": None}
    assert site.ask("/look", method="POST", body=json.dumps(look)).status == 204
    tiles = event_named(events, "tiles")
    assert isinstance(tiles, list)
    assert [one["picture"] for one in tiles] == ["0-7"]


def test_a_server_that_stops_lets_open_pages_go_without_a_word(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    events = site.ask("/events")
    event_named(events, "rows")
    site.stop()
    with pytest.raises(IncompleteRead):
        events.read()
    assert caplog.records == []


def test_events_flow_for_longer_than_an_exchange_may_take(site: Site) -> None:
    events = site.ask("/events")
    for _ in range(6):  # two a second, and an exchange has one
        event_named(events, "rows")


BAD_LOOKS = [
    "",
    "[]",
    "[" * 20_000,
    '{"watcher": "guess", "visible": [], "open": null}',
    '{"watcher": {}, "visible": [], "open": null}',
]


@pytest.mark.parametrize("body", BAD_LOOKS)
def test_a_look_that_cannot_be_understood_is_refused(site: Site, body: str) -> None:
    assert site.ask("/look", method="POST", body=body).status == 400


@pytest.mark.parametrize("visible", ["cam-1", None, [1], ["../x"], [[]], {"a": 1}])
def test_names_that_are_no_streams_are_refused(site: Site, visible: object) -> None:
    _, hello = next_event(site.ask("/events"))
    assert isinstance(hello, dict)
    look = {"watcher": hello["watcher"], "visible": visible, "open": None}
    assert site.ask("/look", method="POST", body=json.dumps(look)).status == 400


def test_a_body_without_end_is_refused(site: Site) -> None:
    assert site.ask("/look", method="POST", body="x" * 40_000).status == 413


@pytest.mark.parametrize(
    "path",
    [
        "/picture/tile/nobody",
        "/picture/huge/cam-1",
        "/picture/tile/..%2f..%2fetc%2fpasswd",
        "/../../etc/passwd",
        "/static/live.html",
        "/live.html",
    ],
)
def test_hostile_paths_lead_nowhere(site: Site, path: str) -> None:
    assert site.ask(path).status == 404


def test_a_picture_is_a_jpeg(site: Site) -> None:
    answer = site.ask("/picture/tile/cam-1")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.read().startswith(b"\xff\xd8\xff")


def test_pages_are_limited_in_number_and_closed_ones_make_room(site: Site) -> None:
    held = [site.ask("/events") for _ in range(MOST_WATCHERS)]
    assert site.ask("/events").status == 503
    for one in held:
        one.close()
    while site.ask("/events").status == 503:
        pass
    assert site.ask("/").status == 200
