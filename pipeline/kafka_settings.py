"""The settings with which every command reaches a Kafka, by the names that Kafka users know.

The names are those of librdkafka (kcat, confluent-kafka) with `_` for each dot.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from pipeline.connection import (
    Connection,
    Login,
    OAuth,
    SaslMechanism,
    Security,
    SecurityProtocol,
    Tls,
)
from pipeline.errors import ConfigError
from pipeline.secrets import Secret

OTHER_NAMES = {
    "bootstrap_servers": "bootstrap",
    "ssl_cafile": "ssl_ca_location",
    "ssl_certfile": "ssl_certificate_location",
    "ssl_keyfile": "ssl_key_location",
    "ssl_password": "ssl_key_password",
    "ssl_check_hostname": "ssl_endpoint_identification_algorithm",
    "ssl_truststore_location": "ssl_ca_location",
    "ssl_keystore_location": "ssl_certificate_location",
    "ssl_keystore_password": "ssl_key_password",
    "sasl_mechanisms": "sasl_mechanism",
    "sasl_plain_username": "sasl_username",
    "sasl_plain_password": "sasl_password",
    "sasl_jaas_config": "sasl_username and sasl_password",
}
"""What other clients call a setting (kafka-python, Java), for the message that refuses it."""


def _servers(value: str) -> str:
    return Connection(value).bootstrap


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _endpoint(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("wanted the URL of a token endpoint, https://host/path, without a login")
    return value


Servers = Annotated[str, AfterValidator(_servers)]
Words = Annotated[str, Field(min_length=1, max_length=1000)]


class KafkaSettings(BaseModel):
    """How to reach the Kafka. Every password may be `${NAME}` or `${file:/path}`."""

    bootstrap: Servers = "127.0.0.1:9092"
    security_protocol: Annotated[SecurityProtocol, BeforeValidator(_upper)] = (
        SecurityProtocol.PLAINTEXT
    )
    ssl_ca_location: Path | None = None
    """PEM file of the authorities that are trusted; without it, those that the system trusts."""
    ssl_certificate_location: Path | None = None
    """PEM file of the certificate that we show (mTLS)."""
    ssl_key_location: Path | None = None
    """PEM file of its key; without it, the key is in the certificate's file."""
    ssl_key_password: Secret | None = None
    ssl_endpoint_identification_algorithm: Literal["https", "none"] = "https"
    """`none` accepts a certificate of any host name: for trying, never for a site."""
    sasl_mechanism: Annotated[SaslMechanism, BeforeValidator(_upper)] | None = None
    sasl_username: Words | None = None
    sasl_password: Secret | None = None
    sasl_oauthbearer_token_endpoint_url: Annotated[str, AfterValidator(_endpoint)] | None = None
    sasl_oauthbearer_client_id: Words | None = None
    sasl_oauthbearer_client_secret: Secret | None = None
    sasl_oauthbearer_scope: Words | None = None
    sasl_oauthbearer_ca_location: Path | None = None
    """PEM file of the authorities of the token endpoint; without it, those of the system."""

    @property
    def connection(self) -> Connection:
        """How to reach Kafka."""
        return Connection(self.bootstrap, self._security)

    @property
    def _security(self) -> Security:
        tls = Tls(
            ca=self.ssl_ca_location,
            certificate=self.ssl_certificate_location,
            key=self.ssl_key_location,
            key_password=self.ssl_key_password,
            checks_host_name=self.ssl_endpoint_identification_algorithm == "https",
        )
        return Security(self.security_protocol, tls, self._login)

    @property
    def _login(self) -> Login | None:
        if self.sasl_mechanism is None:
            return None
        oauth = None
        endpoint, client = self.sasl_oauthbearer_token_endpoint_url, self.sasl_oauthbearer_client_id
        secret = self.sasl_oauthbearer_client_secret
        if endpoint is not None and client is not None and secret is not None:
            scope, ca = self.sasl_oauthbearer_scope, self.sasl_oauthbearer_ca_location
            oauth = OAuth(endpoint, client, secret, scope, ca)
        return Login(self.sasl_mechanism, self.sasl_username, self.sasl_password, oauth)

    @model_validator(mode="after")
    def _agree(self) -> "KafkaSettings":
        """Check that the settings fit together: a password that is never sent misleads."""
        fields = KafkaSettings.model_fields.items()
        given = {name for name, field in fields if getattr(self, name) != field.default}
        protocol = self.security_protocol
        if not protocol.has_login and (lost := _beginning("sasl_", given)):
            raise ValueError(
                f"{lost} counts only with security_protocol = SASL_SSL (or SASL_PLAINTEXT),"
                f" not {protocol}"
            )
        if not protocol.has_tls and (lost := _beginning("ssl_", given)):
            raise ValueError(
                f"{lost} counts only with security_protocol = SSL or SASL_SSL, not {protocol}"
            )
        if self.ssl_key_location is not None and self.ssl_certificate_location is None:
            raise ValueError("ssl_key_location needs ssl_certificate_location too")
        if protocol.has_login:
            self._require(self._wanted_of_login())
        return self

    def _wanted_of_login(self) -> tuple[str, ...]:
        if self.sasl_mechanism is None:
            return ("sasl_mechanism",)
        if self.sasl_mechanism is SaslMechanism.OAUTHBEARER:
            ways = ("token_endpoint_url", "client_id", "client_secret")
            return tuple(f"sasl_oauthbearer_{name}" for name in ways)
        return ("sasl_username", "sasl_password")

    def _require(self, names: tuple[str, ...]) -> None:
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            how = "" if self.sasl_mechanism is None else f" with {self.sasl_mechanism}"
            raise ValueError(
                f"security_protocol = {self.security_protocol}{how} needs {', '.join(missing)}"
            )


def _beginning(prefix: str, names: set[str]) -> str:
    return ", ".join(sorted(name for name in names if name.startswith(prefix)))


SECRETS: frozenset[str] = frozenset(
    {"ssl_key_password", "sasl_password", "sasl_oauthbearer_client_secret"}
)


def refuse_secret_flags(flags: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if a flag holds a secret itself: others see it in the process list."""
    for name in sorted(SECRETS & flags.keys()):
        if flags[name] is not None and not Secret(flags[name]).is_place:
            option = "--" + name.replace("_", "-")
            raise ConfigError(
                f"{option}: a secret on the command line is seen by everyone on this machine; name"
                f" its place, {option} '${{file:/path}}' or '${{NAME}}' of the environment"
            )
