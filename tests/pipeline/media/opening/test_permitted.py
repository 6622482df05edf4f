"""Addresses and files of kinds that are not on the list are refused, and nothing is opened."""

import os
from pathlib import Path

import pytest

from tests.cameras.hostile import Page, canary, web
from tests.pipeline.media.opening.sources import WAYS, Way, by_source, playlist, refusal, video

SCHEMES = (
    "async cache concatf crypto data fd ffrtmpcrypt ffrtmphttp file ftp gopher gophers hls http+x"
    " httpproxy icecast ipfs ipns md5 mmsh mmst pipe prompeg rist rtmpe rtmpt rtmpte rtmpts satip"
    " sap sctp sftp smb srt srtp subfile tee tls udplite unix whip zmq"
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scheme", [*SCHEMES.split(), "cache:http", "async:rtsp", "crypto+http"])
def test_an_unusual_scheme_is_refused_with_those_that_are_allowed(way: Way, scheme: str) -> None:
    with canary() as spied:
        words = refusal(way, f"{scheme}://me:S3cr3t@{spied.at}/x")
    assert "addresses of this kind are not read; allowed are rtsp://, rtsps://, http://" in words
    assert "S3cr3t" not in words
    assert spied.calls == []


@pytest.mark.parametrize(
    "form", ["concat:{0}", "file:{0}", "subfile,,start,0,end,9999,,:{0}", "crypto:{0}", "data:,x"]
)
def test_what_is_no_url_is_a_path(form: str, tmp_path: Path) -> None:
    video(tmp_path / "secret.ts")
    words = refusal(by_source, form.format(tmp_path / "secret.ts"))
    assert "no such file or device" in words


def hostile_files(theirs: str) -> dict[str, bytes]:
    sdp = (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 21332 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    )
    return {
        "near.m3u8": playlist("secret.ts"),
        "absolute.m3u8": playlist("{folder}/secret.ts"),
        "http.m3u8": playlist(f"http://{theirs}/x.ts"),
        "list.mp4": b"ffconcat version 1.0\nfile secret.ts\n",
        "list.ts": b"ffconcat version 1.0\nfile secret.ts\n",
        "http.mp4": f"ffconcat version 1.0\nfile http://{theirs}/x.ts\n".encode(),
        "camera.sdp": sdp.encode(),
        "camera.mp4": sdp.encode(),
        "a.mpd": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
        "hls.mp4": playlist("secret.ts"),
    }


@pytest.mark.parametrize("name", hostile_files(""))
def test_a_file_that_names_other_files_or_hosts_is_refused(name: str, tmp_path: Path) -> None:
    video(tmp_path / "secret.ts")
    with canary() as spied:
        content = hostile_files(spied.at)[name].replace(b"{folder}", os.fsencode(tmp_path))
        (tmp_path / name).write_bytes(content)
        assert refusal(by_source, str(tmp_path / name)).startswith(f"{tmp_path / name}: no ")
    assert spied.calls == []


@pytest.mark.parametrize("name", ["rtsp:x.ts", "concat:a|b.ts", "http:cam.ts", "frame%03d.ts"])
def test_a_file_may_have_the_name_of_a_protocol(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    video(tmp_path / name)
    assert by_source(name) == 5


@pytest.mark.parametrize("kind", ["mp4", "mov", "matroska", "mpegts", "flv", "avi"])
@pytest.mark.parametrize("way", WAYS)
def test_the_usual_files_are_read_from_a_web_server(way: Way, kind: str, tmp_path: Path) -> None:
    film = video(tmp_path / "film", kind=kind)
    with web({"/film": Page(film)}) as server:
        assert way(f"http://{server.at}/film") == 5
