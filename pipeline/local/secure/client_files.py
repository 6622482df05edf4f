"""Writes the settings of clients, for `--kafka`: two files for each role."""

import json

from pipeline.broker.kafka.privileges import Role
from pipeline.connection import SaslMechanism, SecurityProtocol
from pipeline.local.secure.private_files import write_private
from pipeline.local.secure.secure_folder import SecureFolder


def write_client_files(folder: SecureFolder, bootstrap: str, mtls_bootstrap: str) -> None:
    """Write `ROLE.toml`, with the password's place, and `ROLE-mtls.toml`, with the certificate."""
    ca = {"ssl_ca_location": str(folder.ca)}
    for role in Role:
        by_password = {
            "bootstrap": bootstrap,
            "security_protocol": SecurityProtocol.SASL_SSL.value,
            "sasl_mechanism": SaslMechanism.SCRAM_SHA_512.value,
            "sasl_username": role.value,
            "sasl_password": f"${{file:{folder.password_file(role)}}}",
        }
        by_certificate = {
            "bootstrap": mtls_bootstrap,
            "security_protocol": SecurityProtocol.SSL.value,
            "ssl_certificate_location": str(folder.identity(role)),
        }
        write_private(folder.client_file(role), _toml(by_password | ca))
        write_private(folder.mtls_file(role), _toml(by_certificate | ca))


def _toml(settings: dict[str, str]) -> bytes:
    """Write TOML: for printable text its strings are those of JSON."""
    quoted = {name: json.dumps(text, ensure_ascii=False) for name, text in settings.items()}
    return "".join(f"{name} = {text}\n" for name, text in quoted.items()).encode()
