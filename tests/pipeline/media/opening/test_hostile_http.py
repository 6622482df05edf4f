"""A hostile web camera cannot send us to another host, open ports here, or name our files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.media.opening.access import Access
from tests.cameras.hostile import Canary, Page, Web, canary, web
from tests.pipeline.media.opening.sources import WAYS, Way, playlist, refusal, video

HLS = "application/vnd.apple.mpegurl"
TEXT = "text/plain"


def m3u8(*parts: str, head: str = "") -> Page:
    return Page(playlist(*parts, head=head), HLS)


def pages(ours: str, theirs: str) -> dict[str, Page]:
    """Return what must be refused; `ours` is a file of this machine, `theirs` the canary."""
    key = '#EXT-X-KEY:METHOD=AES-128,URI="{}",IV=0x00000000000000000000000000000001\n'
    variant = "#EXT-X-STREAM-INF:BANDWIDTH=1\n{}\n"
    mpd = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
        ' mediaPresentationDuration="PT9S" profiles="urn:mpeg:dash:profile:isoff-main:2011">'
        '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
        "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    sdp = (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 21332 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    )
    smil = f'<smil><body><video src="http://{theirs}/x"/></body></smil>'
    return {
        "/file.m3u8": m3u8(f"file://{ours}"),
        "/absolute.m3u8": m3u8(ours),
        "/concat.m3u8": m3u8(f"concat:{ours}"),
        "/subfile.m3u8": m3u8(f"subfile,,start,0,end,99999999,,:{ours}"),
        "/crypto.m3u8": m3u8(f"crypto:{ours}"),
        "/cryptofile.m3u8": m3u8(f"crypto+file://{ours}"),
        "/async.m3u8": m3u8(f"async:file:{ours}"),
        "/cache.m3u8": m3u8(f"cache:http://{theirs}/x.ts"),
        "/data.m3u8": m3u8("data:video/mp2t;base64,AAAA"),
        "/host.m3u8": m3u8(f"http://{theirs}/internal.ts"),
        "/user.m3u8": m3u8(f"http://me@{theirs}/internal.ts"),
        "/relative.m3u8": m3u8(f"//{theirs}/internal.ts"),
        "/tcp.m3u8": m3u8(f"tcp://{theirs}"),
        "/gopher.m3u8": m3u8(f"gopher://{theirs}/x"),
        "/rtsp.m3u8": m3u8(f"rtsp://{theirs}/x"),
        "/udp.m3u8": m3u8("udp://127.0.0.1:21333"),
        "/keyfile.m3u8": m3u8("/x.ts", head=key.format("file:///etc/passwd")),
        "/keyhost.m3u8": m3u8("/x.ts", head=key.format(f"http://{theirs}/key")),
        "/keytcp.m3u8": m3u8("/x.ts", head=key.format(f"tcp://{theirs}")),
        "/map.m3u8": m3u8("/x.ts", head=f'#EXT-X-MAP:URI="http://{theirs}/init.mp4"\n'),
        "/variant.m3u8": m3u8(head=variant.format(f"http://{theirs}/x.m3u8")),
        "/variantfile.m3u8": m3u8(head=variant.format(f"file://{ours}")),
        "/moved.m3u8": m3u8("/to-host.ts"),
        "/parts.m3u8": m3u8("/list.ffconcat", "/a.sdp", "/a.mpd"),
        "/list.ffconcat": Page(f"ffconcat version 1.0\nfile '{ours}'\n".encode(), TEXT),
        "/tcp.ffconcat": Page(f"ffconcat version 1.0\nfile 'tcp://{theirs}'\n".encode(), TEXT),
        "/list.mp4": Page(b"ffconcat version 1.0\nfile x.ts\n", "video/mp4"),
        "/a.sdp": Page(sdp.encode(), "application/sdp"),
        "/sdp": Page(sdp.encode(), TEXT),
        "/a.mpd": Page(mpd.format(f"file://{ours}").encode(), "application/dash+xml"),
        "/host.mpd": Page(mpd.format(f"http://{theirs}/x.mp4").encode(), "application/dash+xml"),
        "/a.smil": Page(smil.encode(), "application/smil"),
        "/a.pls": Page(f"[playlist]\nFile1=http://{theirs}/x\n".encode(), "audio/x-scpls"),
        "/a.f4m": Page(f"<manifest><media url='http://{theirs}/x'/></manifest>".encode(), TEXT),
        "/to-file": Page(status=302, location=f"file://{ours}"),
        "/to-path": Page(status=302, location=ours),
        "/to-host": Page(status=302, location=f"http://{theirs}/redirected"),
        "/to-host.ts": Page(status=302, location=f"http://{theirs}/redirected.ts"),
        "/to-tcp": Page(status=302, location=f"tcp://{theirs}"),
        "/to-rtsp": Page(status=302, location=f"rtsp://{theirs}/x"),
        "/to-data": Page(status=302, location="data:video/mp2t;base64,AAAA"),
        "/to-nothing": Page(status=302),
        "/to-itself": Page(status=302, location="/to-itself"),
        "/hop": Page(status=302, location="/to-host"),
        "/login": Page(status=302, location=f"http://{theirs}/stolen", login=True),
        **{f"/{n}": Page(status=n, location=f"http://{theirs}/x") for n in (301, 303, 307, 308)},
        "/x.ts": Page(b"", "video/mp2t"),
    }


HOSTILE = sorted(pages("/x", "x").keys() - {"/x.ts"})


@pytest.fixture(scope="module")
def spied() -> Iterator[Canary]:
    with canary() as made:
        yield made


@pytest.fixture(scope="module")
def evil(spied: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    ours = tmp_path_factory.mktemp("ours") / "secret.ts"
    video(ours)
    with web(pages(str(ours), spied.at)) as made:
        yield made


@pytest.mark.parametrize("path", HOSTILE)
@pytest.mark.parametrize("way", WAYS)
def test_what_a_hostile_server_names_is_not_opened(
    way: Way, path: str, evil: Web, spied: Canary
) -> None:
    words = refusal(way, f"http://me:S3cr3t@{evil.at}{path}")
    assert spied.calls == []
    assert "S3cr3t" not in words


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", ["/to-host", "/host.m3u8", "/moved.m3u8", "/map.m3u8"])
def test_another_host_is_named_with_the_setting_that_allows_it(
    way: Way, path: str, evil: Web, spied: Canary
) -> None:
    words = refusal(way, f"http://{evil.at}{path}")
    assert f"it refers to http://{spied.at}, another host; `redirects = true`" in words


@pytest.mark.parametrize("way", WAYS)
def test_a_format_that_is_not_on_the_list_is_refused_with_those_that_are(
    way: Way, evil: Web
) -> None:
    assert "no format that is read here: MP4, MOV" in refusal(way, f"http://{evil.at}/a.sdp")


@pytest.mark.parametrize("way", WAYS)
def test_redirects_that_never_end_are_given_up(way: Way, evil: Web) -> None:
    words = refusal(way, f"http://{evil.at}/to-itself", Access(redirects=True))
    assert "more than 5 redirects" in words


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", ["/to-file", "/to-tcp", "/to-rtsp", "/file.m3u8", "/udp.m3u8"])
def test_redirects_that_are_allowed_stay_within_http(
    way: Way, path: str, evil: Web, spied: Canary
) -> None:
    refusal(way, f"http://{evil.at}{path}", Access(redirects=True))
    assert spied.calls == []


@pytest.mark.parametrize("way", WAYS)
def test_allowed_redirects_are_followed_without_the_login(way: Way, tmp_path: Path) -> None:
    with web({"/gate.ts": Page(video(tmp_path / "gate.ts"))}) as other:
        moved = Page(status=302, location=f"http://{other.at}/gate.ts", login=True)
        parts = m3u8(f"http://{other.at}/gate.ts")
        with web({"/moved": moved, "/gate.m3u8": parts}) as camera:
            for path in ("/moved", "/gate.m3u8"):
                assert way(f"http://me:S3cr3t@{camera.at}{path}", Access(redirects=True)) == 5
    assert {known for _, known in other.asked} == {""}


@pytest.mark.parametrize("way", WAYS)
def test_redirects_within_the_cameras_own_server_are_followed(way: Way, tmp_path: Path) -> None:
    served = {
        "/moved": Page(status=302, location="/gate.ts?a=1"),
        "/gate.ts": Page(video(tmp_path / "gate.ts"), login=True),
        "/gate.m3u8": m3u8("gate.ts", "gate.ts"),
        "/gate": m3u8("gate.ts", "gate.ts"),
        "/gate.hls": Page(playlist("gate.ts", "gate.ts"), TEXT),
    }
    with web(served) as camera:
        assert way(f"http://me:S3cr3t@{camera.at}/moved") == 5
        for path in ("/gate.m3u8", "/gate", "/gate.hls"):
            assert way(f"http://me:S3cr3t@{camera.at}{path}") >= 5


def test_a_playlist_without_end_is_refused(tmp_path: Path) -> None:
    many = playlist(*["/gone.ts"] * 400_000)
    with web({"/gate.m3u8": Page(many, HLS)}) as camera:
        words = refusal(WAYS[1].values[0], f"http://{camera.at}/gate.m3u8")  # type: ignore[arg-type]
    assert "its playlist has more than 4 MiB" in words
