"""What makes a node of the local Kafka a secured one: settings, and files in its folder."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.broker.kafka.privileges import Role
from pipeline.connection import SaslMechanism
from pipeline.local.secure.private_files import write_private
from pipeline.local.secure.secure_folder import ADMINISTRATOR, BROKER, SecureFolder

KEYSTORE, TRUSTED = "broker.pem", "ca.pem"
AUDIENCE = "longtake"
_MODULES = "org.apache.kafka.common.security"
_OF_PASSWORDS = (SaslMechanism.SCRAM_SHA_512, SaslMechanism.SCRAM_SHA_256, SaslMechanism.PLAIN)


def copy_certificates(folder: SecureFolder, node_folder: Path) -> None:
    """Put what a broker reads into its own folder: its settings hold no absolute path."""
    write_private(node_folder / KEYSTORE, folder.broker_identity.read_bytes())
    write_private(node_folder / TRUSTED, folder.ca.read_bytes())


def security_settings(
    folder: SecureFolder, logins: Iterable[str], jwks: Path | None
) -> Mapping[str, str]:
    """Return the settings of a broker besides its listeners; `logins` are those with SASL.

    `jwks` is a file of public keys (RFC 7517): tokens that one of them signs, for `AUDIENCE`, log
    their `sub` in by OAUTHBEARER.
    """
    mechanisms = [*_OF_PASSWORDS, *([] if jwks is None else [SaslMechanism.OAUTHBEARER])]
    settings = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": KEYSTORE,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": TRUSTED,
        "ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
        "listener.name.mtls.ssl.client.auth": "required",
        "listener.name.controller.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=([a-z]+)$/$1/,DEFAULT",
        "sasl.enabled.mechanisms": ",".join(mechanisms),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{BROKER};User:{ADMINISTRATOR}",
        "allow.everyone.if.no.acl.found": "false",
    }
    for listener in logins:
        settings |= _of_listener(listener.lower(), folder, jwks)
    return settings


def _of_listener(name: str, folder: SecureFolder, jwks: Path | None) -> Mapping[str, str]:
    users = " ".join(f'user_{role}="{folder.password(role)}"' for role in Role)
    scram = f"{_MODULES}.scram.ScramLoginModule required;"
    prefix = f"listener.name.{name}"
    settings = {
        f"{prefix}.scram-sha-512.sasl.jaas.config": scram,
        f"{prefix}.scram-sha-256.sasl.jaas.config": scram,
        f"{prefix}.plain.sasl.jaas.config": f"{_MODULES}.plain.PlainLoginModule required {users};",
    }
    if jwks is None:
        return settings
    prefix = f"{prefix}.oauthbearer"
    return settings | {
        f"{prefix}.sasl.jaas.config": f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required;",
        f"{prefix}.sasl.server.callback.handler.class": (
            f"{_MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler"
        ),
        f"{prefix}.sasl.oauthbearer.jwks.endpoint.url": jwks.absolute().as_uri(),
        f"{prefix}.sasl.oauthbearer.expected.audience": AUDIENCE,
    }


def java_options(jwks: Path | None) -> tuple[str, ...]:
    """Return what Java must be told: Kafka reads no keys from a place that is not on this list."""
    if jwks is None:
        return ()
    return (f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={jwks.absolute().as_uri()}",)
