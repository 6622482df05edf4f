"""Environment variables that Kubernetes and Docker make from the name of a Service or a link.

Kubernetes puts them into every pod of a namespace, unless its spec has `enableServiceLinks: false`:
for a Service `longtake-kafka` they begin with `LONGTAKE_KAFKA_`. Docker makes them for the links of
`docker run --link`. The only place that knows their shapes.
"""

import re
from collections.abc import Mapping

_HOST = r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\]?)"
_NUMBER = r"\d{1,5}"
_URL = rf"(?:tcp|udp|sctp)://{_HOST}:{_NUMBER}"
_DOOR = rf"PORT_{_NUMBER}_(?:TCP|UDP|SCTP)"

# What a name ends in, after that of the Service or link, and the values that go with it.
_SHAPES = tuple(
    (re.compile(rf"(?:[A-Z0-9_]+_)?(?:{end})"), re.compile(value))
    for end, value in (
        ("SERVICE_HOST", _HOST),
        ("SERVICE_PORT(?:_[A-Z0-9_]+)?", _NUMBER),
        (f"PORT|{_DOOR}(?:_START|_END)?", _URL),
        (f"{_DOOR}_ADDR", _HOST),
        (f"{_DOOR}_PORT(?:_START|_END)?", _NUMBER),
        (f"{_DOOR}_PROTO", "tcp|udp|sctp"),
    )
)
_LINK = re.compile(r"/[^/]+/([^/]+)")  # the value of ALIAS_NAME: /container/alias


def without_service_links(environment: Mapping[str, str], *, prefix: str) -> dict[str, str]:
    """Leave out what Kubernetes and Docker have made of names that begin with `prefix`.

    They write names in capitals. A name is left out only with a value of the shape that they give
    it: `LONGTAKE_PORT` is theirs as `tcp://10.0.0.1:9092`, a mistake as `9092`.
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
