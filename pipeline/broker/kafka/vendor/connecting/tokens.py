"""Gets access tokens for OAUTHBEARER: the client credentials grant of RFC 6749, section 4.4."""

import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.parse import quote, urlencode

from pipeline.connection import OAuth
from pipeline.errors import SecurityError, TokenError

TIMEOUT_S = 2.0
NOT_NOW = (408, 425, 429)  # answers of HTTP below 500 that another attempt may change
ANSWER_BYTES = 64 << 10
RENEWED_AT = 0.8  # of a token's life, as Java's client does
LIFE_S = 60.0  # of a token whose answer does not say
MOST_LIFE_S = 86_400


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses to follow: the request carries the client's secret."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        """Return None, so that the answer counts as an error."""
        del req, fp, code, msg, headers, newurl


class TokenSource:
    """One client's tokens, from its endpoint. Every thread of a vendor's client may ask."""

    def __init__(self, oauth: OAuth, *, now: Callable[[], float] = time.monotonic) -> None:
        self._oauth = oauth
        self._now = now
        self._lock = threading.Lock()
        self._token = ""
        self._renew_s = 0.0

    def token(self) -> str:
        """Return a token that is valid now; a new one when most of the last one's life is over.

        Raises `ConfigError` if the secret cannot be read, `TokenError` if the endpoint is away,
        `SecurityError` if it refuses us or its certificate is not trusted.
        """
        with self._lock:
            if not self._token or self._now() >= self._renew_s:
                asked_s = self._now()
                self._token, life_s = _asked(self._oauth)
                self._renew_s = asked_s + life_s * RENEWED_AT
            return self._token


def _asked(oauth: OAuth) -> tuple[str, float]:
    """Ask for a token. Returns it and its life in seconds."""
    form = {"grant_type": "client_credentials"} | ({"scope": oauth.scope} if oauth.scope else {})
    login = ":".join(quote(part, safe="") for part in (oauth.client_id, oauth.client_secret.read()))
    request = urllib.request.Request(  # noqa: S310 - the settings allow http and https alone
        oauth.token_endpoint,
        data=urlencode(form).encode(),
        headers={
            "Authorization": f"Basic {b64encode(login.encode()).decode()}",
            "Accept": "application/json",
        },
    )
    try:
        context = ssl.create_default_context(cafile=None if oauth.ca is None else str(oauth.ca))
        opener = urllib.request.build_opener(
            _NoRedirect, urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            body = answer.read(ANSWER_BYTES + 1)
    except urllib.error.HTTPError as exc:
        refused = exc.code < HTTPStatus.INTERNAL_SERVER_ERROR and exc.code not in NOT_NOW
        raise (SecurityError if refused else TokenError)(
            f"the token endpoint {oauth.server} refuses client {oauth.client_id}:"
            f" HTTP {exc.code} {exc.reason}. Look at"
            " sasl_oauthbearer_token_endpoint_url, the client_id, its secret and its scope"
        ) from None
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "reason", exc)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise SecurityError(
                f"the certificate of the token endpoint {oauth.server} cannot be verified:"
                f" {reason.verify_message}. Look at sasl_oauthbearer_ca_location"
            ) from exc
        raise TokenError(f"the token endpoint {oauth.server} does not answer: {reason}") from exc
    except HTTPException:
        raise TokenError(f"the token endpoint {oauth.server} does not answer by HTTP") from None
    return _read(body, oauth.server)


def _read(body: bytes, server: str) -> tuple[str, float]:
    wrong = SecurityError(f"the token endpoint {server} answers, but not with a bearer token")
    try:
        answer = json.loads(body) if len(body) <= ANSWER_BYTES else None
    except (ValueError, RecursionError):
        raise wrong from None
    if not isinstance(answer, dict):
        raise wrong
    token = answer.get("access_token")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        raise wrong
    return token, _life_s(answer.get("expires_in"))


def _life_s(said: object) -> float:
    """Return a token's life in seconds: that of the answer if it is a number, a day at most."""
    if isinstance(said, bool) or not isinstance(said, int | float):
        return LIFE_S
    return float(min(max(0, said), MOST_LIFE_S))  # in this order NaN is 0; limited before `float`
