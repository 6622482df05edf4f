"""Typed access to an evaluation's facts, which are JSON: by the path of names to a value."""

from collections.abc import Mapping

from pydantic import JsonValue

JsonObject = Mapping[str, JsonValue]


def fact(facts: JsonObject, *path: str) -> JsonValue:
    *above, last = path
    return (table(facts, *above) if above else facts)[last]


def table(facts: JsonObject, *path: str) -> dict[str, JsonValue]:
    found = fact(facts, *path)
    assert isinstance(found, dict), f"{path} is no object: {found!r}"
    return found


def row(facts: JsonObject, *path: str) -> list[JsonValue]:
    found = fact(facts, *path)
    assert isinstance(found, list), f"{path} is no list: {found!r}"
    return found


def figure(facts: JsonObject, *path: str) -> float:
    found = fact(facts, *path)
    assert isinstance(found, int | float), f"{path} is no number: {found!r}"
    return found
