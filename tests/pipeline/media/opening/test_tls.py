"""Certificates of `https`, `rtsps` and `rtmps` are verified, unless an entry says otherwise."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.media.opening.access import Access
from tests.cameras.certificates import self_signed, server_side, wrapping
from tests.cameras.hostile import Page, reply, rtsp, web
from tests.pipeline.media.opening.sources import WAYS, Way, playlist, refusal, video

UNTRUSTED = "its certificate is not trusted"
WAY_OUT = "`ca_file` (--ca-file), or accept any with `verify = false` (--no-verify)"


@contextmanager
def answering(scheme: str, certificate: Path) -> Iterator[str]:
    """Serve by TLS what has no stream of the path; yield its address."""
    if scheme == "https":
        with web({}, tls=wrapping(certificate)) as served:
            yield f"https://me:S3cr3t@{served.at}/gate"
        return
    with rtsp(lambda *_: reply("404 Not Found"), server_side(certificate)) as spoken:
        yield f"{scheme}://me:S3cr3t@{spoken.at}/gate"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scheme", ["https", "rtsps", "rtmps"])
def test_a_camera_that_signed_its_certificate_itself_is_refused_with_the_setting(
    way: Way, scheme: str, tmp_path: Path
) -> None:
    with answering(scheme, self_signed(tmp_path)) as url:
        words = refusal(way, url)
    assert f"{UNTRUSTED} (self-signed certificate)" in words
    assert WAY_OUT in words
    assert "S3cr3t" not in words


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scheme", ["https", "rtsps"])
def test_its_own_certificate_can_be_trusted_and_verification_be_switched_off(
    way: Way, scheme: str, tmp_path: Path
) -> None:
    certificate = self_signed(tmp_path)
    with answering(scheme, certificate) as url:
        assert "(404)" in refusal(way, url, Access(ca_file=certificate))
        assert "(404)" in refusal(way, url, Access(verify=False))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scheme", ["https", "rtsps", "rtmps"])
@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"days": -1}, "certificate has expired"),
        ({"host": "10.0.0.7"}, "not valid for '127.0.0.1'"),
    ],
    ids=["expired", "other-host"],
)
def test_a_trusted_certificate_must_be_valid_for_the_camera(
    way: Way, scheme: str, made: dict[str, object], why: str, tmp_path: Path
) -> None:
    certificate = self_signed(tmp_path, **made)  # type: ignore[arg-type]
    with answering(scheme, certificate) as url:
        words = refusal(way, url, Access(ca_file=certificate))
    assert UNTRUSTED in words
    assert why in words


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("made", [{}, {"days": -1}, {"host": "10.0.0.7"}], ids=str)
def test_no_request_is_sent_before_the_certificate_is_verified(
    way: Way, made: dict[str, object], tmp_path: Path
) -> None:
    certificate = self_signed(tmp_path, **made)  # type: ignore[arg-type]
    with rtsp(lambda *_: reply("200 OK"), server_side(certificate)) as server:
        url = f"rtsps://me:S3cr3t@{server.at}/gate"
        assert UNTRUSTED in refusal(way, url, Access(ca_file=certificate if made else None))
    assert server.requests == []


@pytest.mark.parametrize("way", WAYS)
def test_each_part_of_a_playlist_is_verified(way: Way, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    served = {"/gate.ts": Page(video(tmp_path / "gate.ts"))}
    with web(served, tls=wrapping(certificate)) as other:
        parts = Page(playlist(f"https://{other.at}/gate.ts"), "application/vnd.apple.mpegurl")
        with web({"/gate.m3u8": parts}) as camera:
            url = f"http://{camera.at}/gate.m3u8"
            assert UNTRUSTED in refusal(way, url, Access(redirects=True))
            assert way(url, Access(redirects=True, ca_file=certificate)) == 5


@pytest.mark.parametrize("way", WAYS)
def test_encryption_is_never_given_up(way: Way, tmp_path: Path) -> None:
    with web({"/gate.ts": Page(video(tmp_path / "gate.ts"))}) as plain:
        moved = {"/moved": Page(status=302, location=f"http://{plain.at}/gate.ts")}
        with web(moved, tls=wrapping(self_signed(tmp_path))) as camera:
            words = refusal(way, f"https://{camera.at}/moved", Access(redirects=True, verify=False))
    assert "without encryption: never followed" in words
    assert plain.asked == []


@pytest.mark.parametrize("scheme", ["https", "rtsps", "rtmps"])
def test_a_server_without_tls_is_told_apart(scheme: str) -> None:
    with web({}) as plain:
        for way in WAYS:
            words = refusal(way.values[0], f"{scheme}://{plain.at}/gate")  # type: ignore[arg-type]
            assert "it does not speak TLS" in words


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_file_that_holds_no_certificate_is_named(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with web({}) as server:
        for way in WAYS:
            words = refusal(
                way.values[0],  # type: ignore[arg-type]
                f"https://{server.at}/gate",
                Access(ca_file=file),
            )
            assert f"`ca_file` {file} cannot be read" in words
