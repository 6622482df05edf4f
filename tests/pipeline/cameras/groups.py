"""Streams of shots of all kinds, and the rule that no unit lacks those before it."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from hypothesis import strategies as st

from pipeline.broker.shots import Shot, ShotKind

# one stream: runs of pictures, and groups of units
RUNS = st.lists(st.tuples(st.booleans(), st.integers(1, 12)), min_size=1, max_size=8)


def shot(seq: int, kind: ShotKind, *, stream: str = "gate", size: int = 100) -> Shot:
    return Shot(stream, seq, 7, seq * 100_000, bytes(size), kind)


def shots(runs: Iterable[tuple[bool, int]], *, stream: str = "gate") -> list[Shot]:
    """Return the shots of runs of `(whether it is a group of units, its length)`."""
    kinds = list[ShotKind]()
    for units, length in runs:
        first = ShotKind.KEYFRAME if units else ShotKind.PICTURE
        others = ShotKind.UNIT if units else ShotKind.PICTURE
        kinds += [first, *[others] * (length - 1)]
    return [shot(seq, kind, stream=stream) for seq, kind in enumerate(kinds)]


def out_of_the_middle(found: Sequence[Shot], *, after: Iterable[Shot] = ()) -> list[Shot]:
    """Return the units without the one before. `after`: shots that were taken before those."""
    known = {(one.stream, one.seq) for one in after}
    lacking = list[Shot]()
    for one in found:
        if one.continues and (one.stream, one.seq - 1) not in known:
            lacking.append(one)
        known.add((one.stream, one.seq))
    return lacking


def groups(found: Sequence[Shot]) -> list[list[int]]:
    """Return the numbers of the shots, those of one group together."""
    starts = [not one.continues for one in found]
    marks = [sum(starts[: n + 1]) for n in range(len(found))]
    pairs = zip(marks, found, strict=True)
    return [[one.seq for _, one in run] for _, run in groupby(pairs, key=lambda pair: pair[0])]
