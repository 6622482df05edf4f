"""Who may see the page: everybody on this machine, or everybody who has the token.

Without a token only requests to a loopback name are answered, so that no page of another site can
reach the wall under a name of its own (DNS rebinding). The token itself is in no cookie: a cookie
holds a key that is made from it.
"""

import hashlib
import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import parse_qs

from pipeline.errors import ConfigError
from pipeline.secrets import Secret

COOKIE = "longtake_live"
LEAST_TOKEN = 16  # characters: a shorter one can be guessed
FORM_BYTES = 4096
BEARER = "Bearer "


class Door:
    """Decides about one request by its headers. `token`: None serves loopback names alone."""

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode()
        self._key = b"" if self._token is None else _key(self._token)

    @property
    def needs_token(self) -> bool:
        """Whether there is a token."""
        return self._token is not None

    def knows(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> bool:
        """Return whether a request may be answered."""
        if self._token is None:
            return _is_loopback(headers.get("host", ""))
        given = headers.get("authorization", "")
        if given.startswith(BEARER):
            return self.opens(given.removeprefix(BEARER))
        return hmac.compare_digest(cookies.get(COOKIE, "").encode(), self._key)

    def opens(self, given: str) -> bool:
        """Return whether this is the token, in a time that does not depend on what is given."""
        wanted = self._token or b""
        digests = [hashlib.sha256(one).digest() for one in (given.encode(), wanted)]
        return bool(wanted) and hmac.compare_digest(*digests)

    def cookie(self) -> str:
        """Return the header that lets a browser in until it is closed."""
        return f"{COOKIE}={self._key.decode()}; Path=/; HttpOnly; SameSite=Strict"


def read_token(written: str | None, *, host: str) -> str | None:
    """Return the token that a setting leads to.

    Raises `ConfigError` if it is written out, is too short, or is missing though `host` can be
    reached from other machines.
    """
    if written is None:
        if is_local(host):
            return None
        raise ConfigError(
            f"--host {host} can be reached from other machines: name a token with --token"
            " '${file:/path}' or '${NAME}', or serve on 127.0.0.1 behind a proxy with a login"
        )
    secret = Secret(written)
    if not secret.is_place:
        raise ConfigError("--token wants a place: '${file:/path}' or '${NAME}', not the token")
    token = secret.read()
    if len(token) < LEAST_TOKEN:
        raise ConfigError(f"the token in {secret.shown} has less than {LEAST_TOKEN} characters")
    return token


def token_of_form(body: bytes) -> str:
    """Return the token of a form that was sent; empty if it has none."""
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=4)
    except ValueError:
        return ""
    return fields.get("token", [""])[0]


def is_local(host: str) -> bool:
    """Return whether a name or address is that of this machine to itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_loopback(host: str) -> bool:
    """Return whether a Host header names this machine."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return is_local(name.removeprefix("[").removesuffix("]"))


def _key(token: bytes) -> bytes:
    return hmac.new(token, b"longtake live", hashlib.sha256).hexdigest().encode()
