"""The parts of an address that are shown, or used in a stream's id, contain no secret."""

import base64
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.media.address import Address, without_secrets
from pipeline.wire.frames import is_stream_id

# hosts and paths have none of these letters, so that one letter of a secret is found anywhere
secrets = st.text("BCWXYZ@/?#:=&;%+!$ ", min_size=1, max_size=12)
plain_secrets = st.text("BCWXYZ", min_size=1, max_size=6)
schemes = st.sampled_from(["rtsp://", "http://", "rtsps://", "cache:http://", "http+x://"])
hosts = st.sampled_from(["cam", "10.0.0.7", "[fd00::7]", "cam.example:8554", "10.0.0.7:80"])
paths = st.sampled_from(["", "/", "/stream1", "/live/main.m3u8", "/a/b@2.jpg"])
FORMS = [
    "{scheme}{user}:{password}@{host}{path}",
    "{scheme}{user}@{host}{path}",
    "{scheme}{host}{path}?{user}={password}",
    "{scheme}{host}{path}?{password}",
    "{scheme}{user}:{password}@{host}{path}?token={token}",
    "{scheme}{user}:{password}@{host}{path}#{token}",
    "{scheme}{host}/user={plain}_password={password}_channel=1.sdp",
    "{scheme}{host}{path};token={token}",
    "{scheme}{plain}:{plain}",  # the host was forgotten
    "{plain}:{password}@{host}{path}",
    "{plain}:{password}@{host}{path}?token={token}",
    "http:{plain}:{password}@{host}{path}",
    "http:/{plain}:{password}@{host}{path}",
    "//{user}:{password}@{host}{path}",
    "10.0.0.7{path}?token={token}",
]


tokens = st.one_of(
    st.text("BCWXYZ0123456789", min_size=16, max_size=40).filter(lambda t: re.search("[0-9]", t)),
    st.text("BCWXYZ", min_size=32, max_size=40),
    st.uuids().map(str),
    st.binary(min_size=24, max_size=40).map(lambda b: base64.urlsafe_b64encode(b).decode()),
)
TOKEN_FORMS = [
    "{scheme}{host}/live/{token}",
    "{scheme}{host}/live/{token}/main.m3u8",
    "{scheme}{host}/{token}.m3u8",
    "{scheme}me:pass@{host}/a/{token}/b?x=y",
    "{scheme}{host}/live;{token}",
    "{scheme}{host}/token/{token}",
    "{scheme}{host}/c/{token}#{token}",
]


def leaked(words: str) -> set[str]:
    return set(words) & set("BCWXYZ")


@settings(max_examples=500)
@given(
    form=st.sampled_from(FORMS),
    scheme=schemes,
    host=hosts,
    path=paths,
    user=secrets,
    password=secrets,
    token=secrets,
    plain=plain_secrets,
)
def test_no_letter_of_a_secret_is_shown_or_named(form: str, **parts: str) -> None:
    address = Address.of(form.format(**parts), {})
    assert not leaked(address.shown)
    assert not leaked(address.stream)
    assert not leaked(repr(address))
    assert is_stream_id(address.stream)


@settings(max_examples=300)
@given(form=st.sampled_from(TOKEN_FORMS), scheme=schemes, host=hosts, token=tokens)
def test_a_random_part_of_a_path_is_not_shown_or_named(
    form: str, scheme: str, host: str, token: str
) -> None:
    address = Address.of(form.format(scheme=scheme, host=host, token=token), {})
    parts = [part for part in re.split(r"\W", token) if len(part) >= 4]
    assert not any(part in address.shown + address.stream for part in parts)


@given(form=st.sampled_from([form for form in FORMS if "{path}" in form]), secret=secrets)
def test_no_letter_of_a_secret_is_in_an_error(form: str, secret: str) -> None:
    parts = dict.fromkeys(["user", "password", "token"], secret)
    text = form.format(**parts, plain="X", scheme="rtsp://", host="cam", path="/${nobody}")
    with pytest.raises(ConfigError, match=r"the environment has no nobody$") as refused:
        Address.of(text, {})
    assert not leaked(str(refused.value))


@pytest.mark.parametrize(
    ("text", "stream"),
    [
        ("gate.mp4", "gate"),
        ("/srv/clips/gate 7.mp4", "gate-7"),
        ("/srv/clips/", "clips"),
        (".", "source"),
        ("/dev/video0", "video0"),
        ("2026-01-01T10:00.mp4", "2026-01-01T10:00"),
        ("rtsp://10.0.0.7/stream1", "stream1"),
        ("rtsp://me:pass@10.0.0.7", "10.0.0.7"),
        ("rtsp://me:pass@10.0.0.7:8554/", "10.0.0.7:8554"),
        ("http://cam/live/main.m3u8?token=x", "main"),
        ("http://cam/mjpg?user=admin&pwd=hunter2", "mjpg"),
        ("rtsp://10.0.0.7/user=admin_password=x.sdp", "10.0.0.7"),
        ("rtsp://me:pa/ss@10.0.0.7/s", "s"),
        ("rtsp://me:pa?ss@10.0.0.7/s", "rtsp"),
        ("http://cam/" + "x-" * 150, "x-" * 95),
    ],
)
def test_a_stream_is_named_after_the_last_part_of_its_address(text: str, stream: str) -> None:
    assert Address.of(text, {}).stream == stream


@pytest.mark.parametrize(
    "url", [" rtsp://me:p@cam/s", "RTSP://me:p@cam/s\n", "\tRtsp://me:p@cam/s "]
)
def test_blanks_and_capitals_of_a_url_do_not_matter(url: str) -> None:
    address = Address.of(url, {})
    assert (address.url, address.shown) == ("rtsp://me:p@cam/s", "rtsp://cam/s")
    assert (address.is_rtsp, address.stream) == (True, "s")


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("2026-11-30T10:00:00.mp4", "2026-11-30T10:00:00"),
        ("cam:1.mp4", "cam:1"),
        ("a?b=c.mp4", "a-b-c"),
        ("http:x.mp4", "http:x"),
        (" 0123456789abcdef0123.mp4", "-0123456789abcdef0123"),
    ],
)
def test_a_file_that_exists_is_a_file_whatever_its_name(
    name: str, stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / name).touch()
    monkeypatch.chdir(tmp_path)
    for address in (Address.of(f"gate/{name}", {}), Address.at(Path("gate", name))):
        assert (address.url, address.shown) == (f"gate/{name}", f"gate/{name}")
        assert (address.is_live, address.stream) == (False, stream)


def test_a_secret_comes_from_the_environment_and_is_never_shown() -> None:
    address = Address.of("rtsp://${LOGIN}@10.0.0.7/s?token=t", {"LOGIN": "me:p@ss/w?rd"})
    assert address.url == "rtsp://me:p%40ss%2Fw%3Frd@10.0.0.7/s?token=t"
    assert address.shown == "rtsp://10.0.0.7/s?..."
    assert "p%40" not in repr(address)


def test_a_secret_comes_from_a_files_first_line(tmp_path: Path) -> None:
    file = tmp_path / "login"
    file.write_text("me:secret\n")
    assert Address.of(f"http://${{file:{file}}}@cam/v", {}).url == "http://me:secret@cam/v"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("rtsp://${NOBODY}@x/", "the environment has no NOBODY"), ("${file:/nowhere}", "/nowhere")],
)
def test_a_secret_that_is_not_there_is_named(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Address.of(text, {})


def test_a_password_that_stands_in_the_address_is_not_told_when_a_name_is_missing() -> None:
    with pytest.raises(ConfigError, match="no TOKEN") as caught:
        Address.of("rtsp://me:secret@cam/${TOKEN}", {})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://a:b@c/d", "rtsp://c/d"),
        ("rtsp://a:b@@c/d", "rtsp://c/d"),
        ("http://c/d@e", "http://...@e"),  # or the login is `c/d`
        ("rtsp://a:b/c@d/e", "rtsp://...@d/e"),
        ("rtsp://a:b?c@d/e", "rtsp://..."),
        ("http://c/d?e=f@g", "http://..."),
        ("rtsp://c;e=@g", "rtsp://..."),
        ("a://b@c/d", "...@c/d"),  # no scheme: the login is user `a`, password `//b`
        ("a://b?c@d/e", "..."),
        ("http://c:80/d?e=f", "http://c:80/d?..."),
        ("http://c/d#e", "http://c/d#..."),
        ("rtsp://c/user=a_password=b", "rtsp://c/..."),
        ("rtsp://a:b", "rtsp://..."),
        ("rtsp://c/admin:12345/ch1", "rtsp://c/.../ch1"),
        ("rtsp://c/token/12345/ch1", "rtsp://c/token/.../ch1"),
        ("http://c/live/0123456789abcdef/main.m3u8", "http://c/live/.../main.m3u8"),
        ("rtsp://c/h264Preview_01_main", "rtsp://c/h264Preview_01_main"),
        ("rtsp://c/Streaming/Channels/101", "rtsp://c/Streaming/Channels/101"),
        ("http://c/axis-cgi/mjpg/video.cgi", "http://c/axis-cgi/mjpg/video.cgi"),
        ("rtsp://c/onvif-media/media.amp", "rtsp://c/onvif-media/media.amp"),
        ("rtsp://${LOGIN}@c/d", "rtsp://c/d"),
        ("rtsp://${file:/run/login}@c/${D}", "rtsp://c/${D}"),
        ("rtsp://[::1]:554/d", "rtsp://[::1]:554/d"),
        ("a:b@c/d", "...@c/d"),
        ("gate@home.mp4", "gate@home.mp4"),
        ("/srv/10:30/a@b?c=d.mp4", "/srv/10:30/a@b?c=d.mp4"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_an_address_is_shown_without_who_may_see(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
