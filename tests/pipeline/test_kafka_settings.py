"""How a Kafka is reached: names, places of secrets, files, and what is refused with which words."""

from pathlib import Path

import pytest

from pipeline.cameras.camera_settings import load_cameras
from pipeline.config import WorkerConfig, load_config
from pipeline.connection import SaslMechanism, SecurityProtocol
from pipeline.errors import ConfigError
from pipeline.secrets import Secret

WORD = "hunter2-and-more"
LOGIN = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "worker"}
BY_PASSWORD = {"security_protocol": "SASL_SSL", **LOGIN, "sasl_password": "${KAFKA_WORD}"}


def toml(path: Path, **settings: object) -> Path:
    path.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
    return path


def test_a_login_is_read_from_flags_and_its_password_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    security = load_config(None, BY_PASSWORD).connection.security
    assert security.protocol is SecurityProtocol.SASL_SSL
    assert security.login is not None
    assert security.login.mechanism is SaslMechanism.SCRAM_SHA_512
    assert security.login.password is not None
    monkeypatch.setenv("KAFKA_WORD", WORD)
    assert security.login.password.read() == WORD


def test_a_setting_that_is_as_it_would_be_anyway_always_fits() -> None:
    assert load_config(None, {"ssl_endpoint_identification_algorithm": "https"}).bootstrap


def test_a_secret_is_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "word"
    secret = Secret(f"${{file:{file}}}")
    file.write_text("first\n")
    before = secret.read()
    file.write_text("second\n")
    assert (before, secret.read()) == ("first", "second")


@pytest.mark.parametrize("load", [load_config, load_cameras])
def test_a_file_of_its_own_says_how_to_reach_the_kafka(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    kafka = toml(tmp_path / "kafka.toml", bootstrap="a:1", security_protocol="SSL")
    other = toml(tmp_path / "more.toml", bootstrap="b:2")
    assert load(other, {"kafka": kafka}).bootstrap == "b:2"
    settings = load(None, {"kafka": kafka})
    assert (settings.bootstrap, settings.security_protocol) == ("a:1", "SSL")


def test_the_environment_names_that_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGTAKE_KAFKA", str(toml(tmp_path / "kafka.toml", bootstrap="a:1")))
    assert load_config(None, {}).bootstrap == "a:1"


def test_that_file_says_nothing_else(tmp_path: Path) -> None:
    kafka = toml(tmp_path / "kafka.toml", bootstrap="a:1", group="actions")
    with pytest.raises(ConfigError, match="group: no such setting"):
        load_config(None, {"kafka": kafka})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"security_protocol": "SASL_SSL"}, "SASL_SSL needs sasl_mechanism"),
        ({"security_protocol": "SASL_SSL", **LOGIN}, "SCRAM-SHA-512 needs sasl_password"),
        (LOGIN, "sasl_mechanism, sasl_username counts only with security_protocol = SASL_SSL"),
        ({"ssl_ca_location": "ca.pem"}, "ssl_ca_location counts only with security_protocol = SSL"),
        ({"security_protocol": "SSL", "ssl_key_location": "k"}, "needs ssl_certificate_location"),
        ({"security_protocol": "TLS"}, "security_protocol = 'TLS'"),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"},
            "OAUTHBEARER needs sasl_oauthbearer_token_endpoint_url",
        ),
        ({"sasl_oauthbearer_token_endpoint_url": "ftp://x"}, "wanted the URL of a token endpoint"),
        ({"ssl_cafile": "ca.pem"}, "ssl_cafile is called ssl_ca_location here"),
        ({"sasl_plain_pasword": "x"}, "sasl_plain_pasword: no such setting; did you mean"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, settings)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"group": "?"},
        {"sasl_mechanism": "x"},
        {"security_protocol": "SSL"},
        {"sasl_pasword": WORD},
    ],
)
def test_no_message_shows_a_secret(more: dict[str, str], tmp_path: Path) -> None:
    settings = {**BY_PASSWORD, "sasl_password": WORD} | more
    try:
        shown = repr(load_config(toml(tmp_path / "kafka.toml", **settings), {}))
    except ConfigError as exc:
        shown = f"{exc}{exc.__cause__}"
    assert WORD not in shown


def test_a_secret_that_is_no_text_is_refused_without_being_shown(tmp_path: Path) -> None:
    file = toml(tmp_path / "kafka.toml", **BY_PASSWORD | {"sasl_password": 19283746})
    with pytest.raises(ConfigError, match=r"sasl_password = \*\*\*") as caught:
        load_config(file, {})
    assert "19283746" not in str(caught.value)


def test_a_secret_is_refused_on_the_command_line_where_everyone_sees_it() -> None:
    with pytest.raises(ConfigError, match=r"--sasl-password '\$\{file:/path\}'") as caught:
        load_config(None, BY_PASSWORD | {"sasl_password": WORD})
    assert WORD not in str(caught.value)


def test_nothing_shows_a_secret_of_the_settings(tmp_path: Path) -> None:
    file = toml(tmp_path / "kafka.toml", **BY_PASSWORD | {"sasl_password": WORD})
    settings = load_config(file, {})
    assert isinstance(settings, WorkerConfig)
    shown = f"{settings!r}{settings}{settings.connection!r}{settings.group_settings}"
    assert WORD not in shown
    assert WORD not in str(settings.model_dump()) + str(settings.model_dump(mode="python"))
