"""Combines factors: all values, values in turn, or few combinations in which all pairs occur."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

Combination = Mapping[str, Any]


def all_of(
    factors: Mapping[str, Sequence[Any]], allowed: Callable[[Combination], bool]
) -> list[Combination]:
    """Return all combinations that are allowed."""
    found = [dict(zip(factors, values, strict=True)) for values in product(*factors.values())]
    return [one for one in found if allowed(one)]


def in_turn(
    candidates: Sequence[Combination], factors: Mapping[str, Sequence[Any]]
) -> list[Combination]:
    """Give each combination one value of each of some more factors, by a hash of its own values."""
    found = list[Combination]()
    for one in candidates:
        crc = zlib.crc32(repr(sorted(one.items())).encode())
        more = dict[str, Any]()
        for name, values in factors.items():
            crc, at = divmod(crc, len(values))
            more[name] = values[at]
        found.append({**one, **more})
    return found


def pairwise(candidates: Sequence[Combination]) -> list[Combination]:
    """Return combinations that contain every pair of values that the candidates contain."""
    pairs = [frozenset(combinations(sorted(one.items(), key=str), 2)) for one in candidates]
    missing, chosen = set[Any]().union(*pairs), list[Combination]()
    while missing:
        best = max(range(len(candidates)), key=lambda n: len(pairs[n] & missing))
        chosen.append(candidates[best])
        missing -= pairs[best]
    return chosen
