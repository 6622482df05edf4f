"""Reads untrusted JSON strictly. The only place that parses the JSON of records.

For any bytes the result is a value, or an `UnreadableError` whose message is a sentence. Memory and
time are bounded by the size of the text, recursion by `MOST_NESTING`.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from pydantic import JsonValue

MOST_BYTES = 4 << 20  # four times what a broker accepts by default
MOST_NESTING = 32
MOST_INTEGER = 2**63 - 1
SHOWN = 60  # characters of a wrong value that a message repeats
_DIGITS = 20  # of the longest number in range, with its sign

# An unterminated string matches to the end of the text, so no character is scanned twice.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?+|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


_MISSING: Any = object()


class UnreadableError(ValueError):
    """Untrusted text is not in the expected format. The message is a sentence that says why."""


def read_object(value: bytes | None, *, most_bytes: int = MOST_BYTES) -> dict[str, JsonValue]:
    """Read a JSON object in UTF-8. Raises `UnreadableError`.

    Stricter than JSON: no NaN or infinity, no integer beyond 64 bits, no name twice in an object,
    no half of a surrogate pair.
    """
    if not value:
        raise UnreadableError("it is empty")
    if len(value) > most_bytes:
        raise UnreadableError(f"it has {len(value)} bytes, at most {most_bytes} are read")
    try:
        text = value.decode()
        _require_flat(text)
        content = cast(JsonValue, _DECODER.decode(text))
        if _SURROGATE.search(text):
            json.dumps(content, ensure_ascii=False).encode()
    except UnreadableError:
        raise
    except (UnicodeDecodeError, UnicodeEncodeError) as exc:
        raise UnreadableError(f"it is no UTF-8 ({exc.reason})") from exc
    except ValueError as exc:
        raise UnreadableError(f"it is no JSON: {exc}") from exc
    if not isinstance(content, dict):
        raise UnreadableError(f"it is {shown(content)}; wanted an object")
    return content


def write_object(content: Mapping[str, Any]) -> bytes:
    """Return a JSON object as ASCII without spaces."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def shown(value: JsonValue) -> str:
    """Return a wrong value as messages show it: one line of ASCII, `SHOWN` characters at most."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value[:SHOWN] if isinstance(value, str) else value)
    text = text.replace("\x7f", "\\u007f")  # the one control character that JSON does not escape
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _require_flat(text: str) -> None:
    """Refuse deep nesting before the parser recurses. Brackets inside strings do not count."""
    if text.count("[") + text.count("{") <= MOST_NESTING:
        return  # the usual case: so few brackets cannot be nested deeper, in any order
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        token = found[0]
        if token in ("[", "{"):
            depth += 1
            if depth > MOST_NESTING:
                raise UnreadableError(f"it is nested deeper than {MOST_NESTING} levels")
        elif token in ("]", "}"):
            depth -= 1


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise UnreadableError("it names a field twice")
    return content


def _integer(text: str) -> int:
    if len(text) > _DIGITS or not -MOST_INTEGER <= (number := int(text)) <= MOST_INTEGER:
        raise UnreadableError(f"it holds the number {text[:_DIGITS]}..., which has over 64 bits")
    return number


def _real(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise UnreadableError(f"it holds the number {text[:_DIGITS]}, which no float can hold")
    return number


def _refuse_constant(name: str) -> JsonValue:
    raise UnreadableError(f"it holds {name}, which is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_real,
    parse_constant=_refuse_constant,
)


class Fields:
    """The fields of one JSON object. Its methods remove a field by name and check type and range.

    Every method raises `UnreadableError`. `rest` holds the fields that were not removed: those of a
    newer release. Messages put `where` before field names.
    """

    __slots__ = ("_content", "_where")

    def __init__(self, content: dict[str, JsonValue], where: str = "") -> None:
        self._content = content
        self._where = where

    @property
    def rest(self) -> dict[str, JsonValue]:
        """The fields that no method has removed yet."""
        return self._content

    def schema(self, newest: int) -> None:
        """Take the schema number; it must be `newest` or the one before."""
        found = self.integer("schema")
        if found > newest:
            raise UnreadableError(
                f"it has schema {found}, this release reads up to {newest}: a newer longtake has"
                " written it; use that release"
            )
        if found < newest - 1:
            raise UnreadableError(
                f"it has schema {found}, this release reads {newest - 1} and {newest}: go through"
                " the releases between"
            )

    def integer(self, name: str, least: int = 0, most: int = MOST_INTEGER) -> int:
        """Take an integer."""
        found = self._content.pop(name, _MISSING)
        if type(found) is not int or not least <= found <= most:
            raise self._wrong(name, found, _range("an integer", least, most))
        return found

    def integer_or_none(self, name: str, least: int = 0, most: int = MOST_INTEGER) -> int | None:
        """Take an integer or null."""
        if self.is_null(name):
            return None
        return self.integer(name, least, most)

    def number(self, name: str, least: float = 0.0, most: float = math.inf) -> float:
        """Take a number."""
        found = self._content.pop(name, _MISSING)
        if type(found) is int:
            found = float(found)
        if type(found) is not float or not least <= found <= most:
            raise self._wrong(name, found, _range("a number", least, most))
        return found

    def number_or_none(self, name: str) -> float | None:
        """Take a number of at least 0, or null."""
        if self.is_null(name):
            return None
        return self.number(name)

    def text(self, name: str, most: int) -> str:
        """Take a text of at most `most` characters."""
        found = self._content.pop(name, _MISSING)
        if type(found) is not str or len(found) > most:
            raise self._wrong(name, found, f"a text of at most {most} characters")
        return found

    def text_or_none(self, name: str, most: int) -> str | None:
        """Take a text of at most `most` characters, or null."""
        if self.is_null(name):
            return None
        return self.text(name, most)

    def matching(self, name: str, pattern: re.Pattern[str], wanted: str) -> str:
        """Take a text that `pattern` matches as a whole; `wanted` describes it in messages."""
        found = self._content.pop(name, _MISSING)
        if type(found) is not str or pattern.fullmatch(found) is None:
            raise self._wrong(name, found, wanted)
        return found

    def matching_or_none(self, name: str, pattern: re.Pattern[str], wanted: str) -> str | None:
        """Take a text that `pattern` matches as a whole, or null."""
        if self.is_null(name):
            return None
        return self.matching(name, pattern, f"{wanted}, or null")

    def items(self, name: str) -> list[JsonValue]:
        """Take a list."""
        found = self._content.pop(name, _MISSING)
        if not isinstance(found, list):
            raise self._wrong(name, found, "a list")
        return found

    def inner(self, name: str) -> "Fields":
        """Take an object within this one."""
        found = self._content.pop(name, _MISSING)
        if not isinstance(found, dict):
            raise self._wrong(name, found, "an object")
        return Fields(found, f"{self._where}{name}.")

    def integers(self, name: str) -> dict[str, int]:
        """Take an object whose fields are all integers of at least 0."""
        inner = self.inner(name)
        return {key: inner.integer(key) for key in tuple(inner.rest)}

    def numbers(self, name: str, least: float, most: float) -> dict[str, float]:
        """Take an object whose fields are all numbers from `least` to `most`."""
        inner = self.inner(name)
        return {key: inner.number(key, least, most) for key in tuple(inner.rest)}

    def has(self, name: str) -> bool:
        """Return whether the field is there. Records of an older release lack added fields."""
        return name in self._content

    def is_null(self, name: str) -> bool:
        """Remove the field if it is null. Returns whether it was."""
        if self._content.get(name, _MISSING) is not None:
            return False
        del self._content[name]
        return True

    def _wrong(self, name: str, found: JsonValue, wanted: str) -> UnreadableError:
        if found is _MISSING:
            return UnreadableError(f"{self._where}{name} is missing")
        if not (name.isascii() and name.isprintable() and len(name) <= SHOWN):
            name = shown(name)  # untrusted: it was a key of `integers` or `numbers`
        return UnreadableError(f"{self._where}{name} is {shown(found)}; wanted {wanted}")


def _range(kind: str, least: float, most: float) -> str:
    if most in (MOST_INTEGER, math.inf):
        return f"{kind} from {least} on"
    return f"{kind} from {least} to {most}"
