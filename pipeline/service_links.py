"""Removes environment variables that Kubernetes and Docker derive from a Service or a link.

Kubernetes sets them in every pod of a namespace, unless the pod's spec has
`enableServiceLinks: false`: for a Service `longtake-kafka` they begin with `LONGTAKE_KAFKA_`.
Docker sets them for the links of `docker run --link`. Without this module they would be read as
unknown settings.
"""

import re
from collections.abc import Mapping

_HOST = r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\]?)"
_NUMBER = r"\d{1,5}"
_URL = rf"(?:tcp|udp|sctp)://{_HOST}:{_NUMBER}"
_PORT = rf"PORT_{_NUMBER}_(?:TCP|UDP|SCTP)"

# Suffixes after the name of the Service or link, each with the shape of its values.
_SHAPES = tuple(
    (re.compile(rf"(?:[A-Z0-9_]+_)?(?:{end})"), re.compile(value))
    for end, value in (
        ("SERVICE_HOST", _HOST),
        ("SERVICE_PORT(?:_[A-Z0-9_]+)?", _NUMBER),
        (f"PORT|{_PORT}(?:_START|_END)?", _URL),
        (f"{_PORT}_ADDR", _HOST),
        (f"{_PORT}_PORT(?:_START|_END)?", _NUMBER),
        (f"{_PORT}_PROTO", "tcp|udp|sctp"),
    )
)
_LINK = re.compile(r"/[^/]+/([^/]+)")  # the value of ALIAS_NAME: /container/alias


def without_service_links(environment: Mapping[str, str], *, prefix: str) -> dict[str, str]:
    """Return the environment without such variables whose names begin with `prefix`.

    Names are in capitals. A variable is left out only if its value has the shape that Kubernetes
    or Docker gives it: `LONGTAKE_PORT=tcp://10.0.0.1:9092` is left out, `LONGTAKE_PORT=9092` is
    kept, and reported later as a mistake.
    """
    aliases = {
        name.removesuffix("NAME")
        for name, value in environment.items()
        if (link := _LINK.fullmatch(value)) and name == f"{_in_capitals(link[1])}_NAME"
    }
    linked = tuple(f"{alias}{kind}" for alias in aliases for kind in ("NAME", "ENV_"))
    return {
        name: value
        for name, value in environment.items()
        if not (
            name.startswith(prefix)
            and (name.startswith(linked) or _has_shape(name.removeprefix(prefix), value))
        )
    }


def _has_shape(rest: str, value: str) -> bool:
    return any(name.fullmatch(rest) and wanted.fullmatch(value) for name, wanted in _SHAPES)


def _in_capitals(alias: str) -> str:
    return alias.upper().replace("-", "_")
