"""Damages a stream of access units, as networks, files and broken cameras do."""

from collections.abc import Callable, Sequence
from random import Random

from hypothesis import strategies as st

from pipeline.media.video.headers.annexb import START, nals
from tests.pipeline.media.video.encoding import FRAMES, Units


def drop(units: Units, at: int) -> Units:
    return [*units[:at], *units[at + 1 :]]


def repeat(units: Units, at: int) -> Units:
    return [*units[: at + 1], *units[at : at + 1], *units[at + 1 :]]


def swap(units: Units, at: int) -> Units:
    return [*units[:at], *units[at : at + 2][::-1], *units[at + 2 :]]


def join(units: Units, at: int) -> Units:
    """Put two units into one record."""
    joined = [(units[at][0], b"".join(unit for _, unit in units[at : at + 2]))]
    return [*units[:at], *joined, *units[at + 2 :]]


def start_late(units: Units, at: int) -> Units:
    return units[at:]


def cut(units: Units, at: int, rng: Random) -> Units:
    number, unit = units[at]
    return [*units[:at], (number, unit[: rng.randrange(1, len(unit))]), *units[at + 1 :]]


def flip(units: Units, at: int, rng: Random) -> Units:
    """Flip one bit."""
    number, damaged = units[at][0], bytearray(units[at][1])
    damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return [*units[:at], (number, bytes(damaged)), *units[at + 1 :]]


def lose_slice(units: Units, at: int) -> Units:
    """Lose the second NAL unit of a unit: of all but keyframes, a slice that is not the first."""
    number, unit = units[at]
    first, _, *others = [unit[begin:end] for begin, end in nals(unit)]
    kept = b"".join(START + nal for nal in (first, *others))
    return [*units[:at], (number, kept), *units[at + 1 :]]


def in_pieces(unit: bytes) -> list[bytes]:
    """Split a keyframe as libav does if the parameter sets are sent before each slice."""
    found = [unit[begin:end] for begin, end in nals(unit)]
    sets = b"".join(START + nal for nal in found if nal[0] & 31 in (7, 8))
    return [sets + START + nal for nal in found if nal[0] & 31 == 5]


Change = tuple[Callable[[Units, int], Units], int]

# units that are lost or out of place: each is detected
MISPLACED = st.lists(
    st.tuples(st.sampled_from([drop, repeat, swap, join, start_late]), st.integers(0, FRAMES - 1)),
    min_size=1,
    max_size=4,
)


def changed(units: Units, changes: Sequence[Change]) -> Units:
    for change, at in changes:
        if units:
            units = change(units, at % len(units))
    return units


def spoiled(units: Units, rng: Random) -> Units:
    """Damage some units in any way, also within a unit."""
    for _ in range(rng.randint(1, 3)):
        if not units:
            break
        at = rng.randrange(len(units))
        way = rng.choice([drop, repeat, swap, join, start_late, cut, flip])
        units = way(units, at, rng) if way in (cut, flip) else way(units, at)  # type: ignore[operator]
    return units
