"""A prediction as its readers have it: which record it is of, and where two of them differ."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pipeline.records import Record


@dataclass(frozen=True, slots=True)
class PublishedPrediction:
    """One prediction and the record that it is of."""

    stream: str
    partition: int
    offset: int
    value: bytes

    @classmethod
    def read(cls, record: Record) -> Self | None:
        """Read a record of the predictions topic; None when it is none of its partition."""
        try:
            content: dict[str, Any] = json.loads(record.value or b"")
            source, memory, scores = content["source"], content["memory"], content["scores"]
            stream, offset = content["stream"], source["offset"]
            whole = isinstance(stream, str) and isinstance(offset, int) and "reset" in memory
            whole = whole and {"label", "model"} <= content.keys()
            whole = whole and all(isinstance(score, float) for score in scores.values())
            if not whole or source["partition"] != record.partition:
                return None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return cls(stream, record.partition, offset, record.value or b"")


def first_difference(
    published: Mapping[str, object], replayed: Mapping[str, object], aside: frozenset[str]
) -> tuple[str, object, object] | None:
    """Name the first field that differs, and both values: of the memory first, it is the cause."""
    left, right = dict(_fields(published)), dict(_fields(replayed))
    for name in sorted({**left, **right}, key=lambda name: not name.startswith("memory.")):
        if name not in aside and (name in left) + (name in right) == 1:
            return name, left.get(name), right.get(name)
        if name not in aside and left[name] != right[name]:
            return name, left[name], right[name]
    return None


def _fields(content: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
