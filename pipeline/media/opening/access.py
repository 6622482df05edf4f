"""What a source is allowed to do and how it is trusted: redirects, and the certificates of TLS."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import CameraLostError, LossReason

AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)


@dataclass(frozen=True, slots=True)
class Access:
    """The rules for one source. The defaults are the strict ones.

    `redirects`: it may send us to other hosts. `verify`: its certificate must be valid for its
    host, and signed by an authority of `ca_file`, or without a `ca_file` of this machine.
    """

    redirects: bool = False
    verify: bool = True
    ca_file: Path | None = None

    @property
    def authorities(self) -> str:
        """The file of trusted certificates. Raises `CameraLostError` if there is none.

        libav needs a file: the path that is built into its TLS library exists on Red Hat alone.
        """
        if self.ca_file is not None:
            return str(self.ca_file)
        known = ssl.get_default_verify_paths().cafile or ""  # SSL_CERT_FILE goes first
        found = next((one for one in (known, *AUTHORITIES) if one and Path(one).is_file()), None)
        if found is None:
            words = "this machine has no file of trusted certificates; name one in `ca_file`"
            raise CameraLostError(LossReason.REFUSED, words)
        return found

    def tls(self) -> ssl.SSLContext:
        """Make the settings of a TLS client. Raises `CameraLostError` if `ca_file` is unusable."""
        if not self.verify:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        try:
            context = ssl.create_default_context(cafile=self.authorities)
        except OSError as exc:  # ssl.SSLError too
            words = f"`ca_file` {self.authorities} cannot be read: {exc.strerror or 'no PEM file'}"
            raise CameraLostError(LossReason.REFUSED, words) from None
        if (
            self.ca_file is not None
        ):  # a camera's own certificate is seldom strictly by the standard
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def tls_options(self) -> dict[str, str]:
        """Return the same settings as options of libav."""
        if not self.verify:
            return {"tls_verify": "0"}
        return {"tls_verify": "1", "ca_file": self.authorities}


STRICT = Access()
