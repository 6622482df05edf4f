"""HLS whose pieces and playlists have any name, and miss pieces: what they hold decides."""

from pathlib import Path

import pytest

from tests.cameras.hostile import Page, web
from tests.pipeline.media.opening.sources import WAYS, Way, by_source, playlist, refusal, video

HLS = "application/vnd.apple.mpegurl"
NAMES = ["s7", "seg?id=7", "s7.jpg", "s7.png", "s7.html", "s7.js", "s7.m4s", "s7.mp4", "s7.bin",
         "s7.webvtt", "s7.aac", "a/b.c/7", "s7.%31"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", WAYS)
def test_pieces_may_have_any_name(way: Way, name: str, tmp_path: Path) -> None:
    piece = Page(video(tmp_path / "gate.ts"), "image/jpeg")
    path = "/" + name.partition("?")[0]
    with web({"/gate.m3u8": Page(playlist(name, name), HLS), path: piece}) as camera:
        assert way(f"http://{camera.at}/gate.m3u8") >= 5


def test_the_pieces_of_an_mp4_may_have_any_name(tmp_path: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    film = video(tmp_path / "gate.mp4", kind="mp4", options=options)
    at = film.index(b"moof") - 4
    listed = playlist("piece.jpg", head='#EXT-X-MAP:URI="first"\n')
    pages = {"/first": Page(film[:at]), "/piece.jpg": Page(film[at:]), "/x": Page(listed, HLS)}
    with web(pages) as camera:
        assert by_source(f"http://{camera.at}/x") == 5


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "image/jpeg"])
def test_a_playlist_may_have_any_name_and_type(kind: str, tmp_path: Path) -> None:
    inner = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow?x=1\n"
    pages = {
        "/live": Page(inner, kind),
        "/low": Page(playlist("7", "#EXT-X-DISCONTINUITY", "7"), kind),
        "/7": Page(video(tmp_path / "gate.ts"), kind),
    }
    with web(pages) as camera:
        assert by_source(f"http://{camera.at}/live") >= 5


def test_a_playlist_of_any_name_has_a_limit_within_another() -> None:
    inner = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow\n"
    pages = {"/live": Page(inner), "/low": Page(playlist(*["/gone.ts"] * 400_000))}
    with web(pages) as camera:
        words = refusal(by_source, f"http://{camera.at}/live")
    assert "its playlist has more than 4 MiB" in words


def test_what_a_piece_holds_must_be_a_format_that_is_read(tmp_path: Path) -> None:
    pages = {
        "/x.m3u8": Page(playlist("x.ts"), HLS),
        "/x.ts": Page(b"ffconcat version 1.0\nfile '/etc/passwd'\n", "video/mp2t"),
    }
    with web(pages) as camera:
        assert refusal(by_source, f"http://{camera.at}/x.m3u8") != ""


@pytest.mark.parametrize("status", [404, 410, 503])
@pytest.mark.parametrize("way", WAYS)
def test_a_piece_that_is_missing_costs_no_other_piece(
    way: Way, status: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    piece = Page(video(tmp_path / "gate.ts"))
    pages = {"/live": Page(playlist("1", "2", "3"), HLS), "/1": piece, "/3": piece}
    with web(pages | {"/2": Page(status=status)}) as camera:
        assert way(f"http://{camera.at}/live") >= 5
        assert [path for path, _ in camera.asked][-1] == "/3"
    assert caplog.text.count("a part is missing") == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_playlist_of_missing_pieces_is_refused_with_their_status(way: Way) -> None:
    with web({"/live": Page(playlist("1", "2"), HLS)}) as camera:
        assert "(404)" in refusal(way, f"http://{camera.at}/live")
