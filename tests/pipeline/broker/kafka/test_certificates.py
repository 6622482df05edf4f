"""Files of TLS that cannot be used: each is named with its setting, before anything is sent."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.broker.kafka.vendor.connecting.tls_files import check_login
from pipeline.connection import Login, OAuth, SaslMechanism, Security, SecurityProtocol, Tls
from pipeline.errors import ConfigError
from pipeline.secrets import Secret
from tests.pipeline.broker.kafka.authority import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="module")
def tls(authority: Authority) -> Tls:
    ours = authority.papers("client", password=b"word")
    return Tls(authority.ca, ours.certificate, ours.key, Secret("word"))


def complaint(tls: Tls) -> str:
    with pytest.raises(ConfigError) as caught:
        check_login(Security(SecurityProtocol.SSL, tls))
    return str(caught.value)


def test_files_that_fit_are_accepted(tls: Tls) -> None:
    check_login(Security(SecurityProtocol.SSL, tls))


def test_files_of_a_protocol_without_tls_are_not_looked_at() -> None:
    check_login(Security(tls=Tls(ca=Path("/nowhere.pem"))))


@pytest.mark.parametrize(
    ("field", "setting"),
    [
        ("ca", "ssl_ca_location"),
        ("certificate", "ssl_certificate_location"),
        ("key", "ssl_key_location"),
    ],
)
def test_a_file_that_is_missing_a_folder_a_fifo_or_garbled_is_named(
    tls: Tls, tmp_path: Path, field: str, setting: str
) -> None:
    gone, pipe, letter = (tmp_path / name for name in ("gone", "pipe", "letter"))
    os.mkfifo(pipe)
    letter.write_text("Dear reader,")
    wrong = ({field: file} for file in (gone, tmp_path, pipe, letter))
    said = [complaint(replace(tls, **one)) for one in wrong]  # type: ignore[arg-type]
    assert said[0] == f"{setting} = {gone} cannot be read: No such file or directory"
    assert said[1] == f"{setting} = {tmp_path} is not a regular file"
    assert said[2] == f"{setting} = {pipe} is not a regular file"
    assert said[3].startswith(f"{setting} = {letter} ")


def test_a_key_with_another_password_or_none_is_named(tls: Tls) -> None:
    wrong = complaint(replace(tls, key_password=Secret("other")))
    none = complaint(replace(tls, key_password=None))
    assert wrong.endswith("is no key in PEM, or ssl_key_password is not its password")
    assert none == f"ssl_key_location = {tls.key} is encrypted: set ssl_key_password"
    assert "other" not in wrong.replace("another", "")


def test_a_key_of_another_certificate_is_named(tls: Tls, authority: Authority) -> None:
    other = authority.papers("other").key
    assert complaint(replace(tls, key=other)) == (
        f"ssl_key_location = {other} is not the key of the certificate"
        f" ssl_certificate_location = {tls.certificate}"
    )


def test_a_certificate_without_its_key_is_named(tls: Tls) -> None:
    said = complaint(replace(tls, key=None, key_password=None))
    assert said.startswith(f"ssl_certificate_location = {tls.certificate} holds no key")


def test_the_authorities_of_a_token_endpoint_are_named_with_their_setting(tmp_path: Path) -> None:
    oauth = OAuth("https://issuer/token", "me", Secret("s"), ca=tmp_path / "gone.pem")
    login = Login(SaslMechanism.OAUTHBEARER, oauth=oauth)
    with pytest.raises(ConfigError, match=r"sasl_oauthbearer_ca_location = .*gone\.pem cannot be"):
        check_login(Security(SecurityProtocol.SASL_PLAINTEXT, login=login))
