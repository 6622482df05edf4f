"""Makes the certificates of a secured local Kafka, and makes them anew before they expire.

The only place that knows the package cryptography. A key and its certificate are one PEM file,
which is replaced at once, so they always belong together.
"""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pipeline.errors import LocalKafkaError
from pipeline.local.ports import HOST
from pipeline.local.secure.key_files import read_private, write_private

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
RENEWED_DAYS = 30  # before their end
_NO_USAGE = dict.fromkeys(
    ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
     "key_agreement", "encipher_only", "decipher_only"), False)  # fmt: skip
SKEW = dt.timedelta(hours=1)  # the clock of a client may be that far behind


@dataclass(frozen=True, slots=True)
class Identity:
    """A private key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def parse(cls, pem: bytes) -> "Identity":
        """Read both from one PEM. Raises `ValueError`."""
        key = serialization.load_pem_private_key(pem, None)
        certificate = x509.load_pem_x509_certificate(pem[pem.find(b"-----BEGIN CERTIFICATE") :])
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("its key is not of an elliptic curve")
        if key.public_key() != certificate.public_key():
            raise ValueError("its key and its certificate do not belong together")
        return cls(key, certificate)

    @property
    def pem(self) -> bytes:
        """The key, in PKCS#8 because Kafka reads nothing else, and the certificate."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return key + self.certificate_pem

    @property
    def certificate_pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def lasts(self, now: dt.datetime, days: int) -> bool:
        """Whether it is valid now and for some days more."""
        certificate = self.certificate
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return begins <= now and now + dt.timedelta(days=days) < ends


class Authority:
    """Issues the certificates of one cluster. `file` holds its key and its own certificate."""

    def __init__(self, file: Path, now: dt.datetime) -> None:
        self._now = now
        pem = read_private(file)
        found = None if pem is None else _parsed(file, pem)
        if found is None or not found.lasts(now, CERTIFICATE_DAYS + RENEWED_DAYS):
            found = self._new()
            write_private(file, found.pem)
        self._own = found

    @property
    def certificate_pem(self) -> bytes:
        """The certificate that everyone trusts."""
        return self._own.certificate_pem

    def require(self, file: Path, name: str, *, serves: bool) -> None:
        """Issue a certificate for `name`, unless the file holds one of ours that lasts.

        With `serves` it is valid for 127.0.0.1 and localhost, otherwise for a client.
        """
        pem = read_private(file)
        if pem is not None and self._is_good(_parsed(file, pem), name):
            return
        write_private(file, self.issue(name, serves=serves).pem)

    def issue(self, name: str, *, serves: bool) -> Identity:
        """Issue a certificate for `name` with a new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if serves:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        building = (
            _begun(_name(name), self._own.certificate.subject, key, self._now, CERTIFICATE_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._own.key.public_key()),
                critical=False,
            )
        )
        if serves:
            names = [x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("localhost")]
            building = building.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return Identity(key, building.sign(self._own.key, hashes.SHA256()))

    def _is_good(self, found: Identity, name: str) -> bool:
        certificate = found.certificate
        try:
            certificate.verify_directly_issued_by(self._own.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return certificate.subject == _name(name) and found.lasts(self._now, RENEWED_DAYS)

    def _new(self) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"longtake local {self._now:%Y-%m-%d %H:%M:%S}")
        usage = x509.KeyUsage(**_NO_USAGE, key_cert_sign=True, crl_sign=True)
        certificate = (
            _begun(name, name, key, self._now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        return Identity(key, certificate)


def _parsed(file: Path, pem: bytes) -> Identity:
    try:
        return Identity.parse(pem)
    except (ValueError, TypeError) as exc:
        raise LocalKafkaError(
            f"{file} holds no key with its certificate ({exc}); delete it and it is made anew"
        ) from exc


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + dt.timedelta(days=days))
    )
