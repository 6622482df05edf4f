"""Answers a server's question for a login: Basic and Digest (RFC 7616), of HTTP and RTSP."""

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Sequence

from pipeline.media.opening.media_url import UrlLogin

_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_PARAMETER = re.compile(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


def authorization(asked: Sequence[str], login: UrlLogin, *, method: str, target: str) -> str | None:
    """Return the header `Authorization` for the values of `WWW-Authenticate`; None: unknown kinds.

    Digest goes before Basic, because it does not send the password.
    """
    for one in asked:
        kind, _, rest = one.strip().partition(" ")
        if kind.lower() == "digest":
            facts = {name.lower(): a or b for name, a, b in _PARAMETER.findall(rest)}
            if (answer := _digest(facts, login, method, target)) is not None:
                return answer
    if any(one.strip().lower().startswith("basic") for one in asked):
        both = os.fsencode(f"{login.user}:{login.password}")
        return f"Basic {base64.b64encode(both).decode()}"
    return None


def _digest(facts: dict[str, str], login: UrlLogin, method: str, target: str) -> str | None:
    name = facts.get("algorithm", "MD5").upper()
    make = _HASHES.get(name.removesuffix("-SESS"))
    qops = [one.strip() for one in facts.get("qop", "").split(",") if one.strip()]
    if make is None or "nonce" not in facts or (qops and "auth" not in qops):
        return None

    def hashed(*parts: str) -> str:
        return make(os.fsencode(":".join(parts)), usedforsecurity=False).hexdigest()

    realm, nonce, own = facts.get("realm", ""), facts["nonce"], secrets.token_hex(8)
    first = hashed(login.user, realm, login.password)
    if name.endswith("-SESS"):
        first = hashed(first, nonce, own)
    second = hashed(method, target)
    fields = {"username": login.user, "realm": realm, "nonce": nonce, "uri": target}
    if qops:
        fields["response"] = hashed(first, nonce, "00000001", own, "auth", second)
    else:
        fields["response"] = hashed(first, nonce, second)
    if "opaque" in facts:
        fields["opaque"] = facts["opaque"]
    words = [f'{key}="{_escaped(value)}"' for key, value in fields.items()]
    if "algorithm" in facts:
        words.append(f"algorithm={name}")
    if qops:
        words += ["qop=auth", "nc=00000001", f'cnonce="{own}"']
    return "Digest " + ", ".join(words)


def _escaped(value: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", re.sub(r"[\r\n]", "", value))
