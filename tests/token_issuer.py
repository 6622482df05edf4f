"""An issuer of tokens for OAUTHBEARER: signs them with a key of its own, serves them by HTTP."""

import json
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE = "longtake"
KEY_ID = "tests"


class TokenIssuer:
    """Signs with RS256."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)

    def write_jwks(self, path: Path) -> Path:
        """Write its public key as a key set (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "kid": KEY_ID, "use": "sig", "alg": "RS256"}
        key |= {"n": _text(_bytes(numbers.n)), "e": _text(_bytes(numbers.e))}
        path.write_text(json.dumps({"keys": [key]}))
        return path

    def token(self, subject: str, **claimed: str | int) -> str:
        """Sign a token of five minutes, with further claims or other ones."""
        now_s = int(time.time())
        claims = {"sub": subject, "aud": AUDIENCE, "iat": now_s, "exp": now_s + 300} | claimed
        head = {"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}
        signed = ".".join(_text(json.dumps(part).encode()) for part in (head, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_text(signature)}"

    @contextmanager
    def serving(self, secret: str, **claimed: str | int) -> Iterator[str]:
        """Serve a token endpoint for every client that knows the secret. Yields its URL."""
        issuer = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                login = b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
                client, _, came = map(unquote, login.partition(":"))
                self.send_response(200 if came == secret else 401)
                self.end_headers()
                answer = {"access_token": issuer.token(client, **claimed), "expires_in": 300}
                self.wfile.write(json.dumps(answer if came == secret else {}).encode())

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/token"
            finally:
                server.shutdown()
                thread.join()


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")
