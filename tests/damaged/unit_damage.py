"""Ways to damage a few units of H.264 in a row. Chance comes from the given generator."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from pipeline.media.video.headers.annexb import START, nals
from pipeline.media.video.headers.h264_headers import IDR, PPS, SLICE, SPS, read_sps
from pipeline.wire.units import H264_TYPE, H265_TYPES
from tests.pipeline.media.video.encoding import encoded

WHOLE = "whole"
HIGH_PROFILE = 100
END_BYTES = 32  # of a unit: what is left without them can be a whole unit of another picture
LEVEL = 62  # the highest; it has no effect on the size that libav accepts
# columns and rows of macroblocks; a worker accepts 34,816 of them by default
REFUSED_SIZES = ((4096, 4096), (65_535, 65_535), (2**20, 1), (257, 136), (1, 34_817))
LARGEST_SIZES = ((256, 136), (136, 256), (1024, 34), (120, 68), (34, 1000))


@dataclass(frozen=True, slots=True)
class SpoiledUnit:
    """A unit as it is sent, and the damage in it or before it.

    `number` is its place in the film; None if its bytes are not those of the film. `origin` is the
    unit of the film whose picture it would have: None if it has no right picture.
    """

    content: bytes
    seq: int
    number: int | None
    origin: bytes | None
    kind: str = WHOLE
    content_type: str = H264_TYPE


Units = list[SpoiledUnit]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the damage is: `at` is an index of `units`, a group and the beginning of the next."""

    units: Sequence[SpoiledUnit]
    at: int
    group: int  # how many units the group has; `units[group]` is the next keyframe
    foreign: bytes  # the keyframe of another stream
    rng: Random

    @property
    def unit(self) -> SpoiledUnit:
        return self.units[self.at]

    def put(self, content: bytes, *, origin: bytes | None = None) -> Units:
        """Replace the unit's bytes."""
        changed = replace(self.unit, content=content, number=None, origin=origin)
        return [*self.units[: self.at], changed, *self.units[self.at + 1 :]]


Damage = Callable[[Place], Units]


def only(content: bytes, *kinds: int) -> bytes:
    """Keep the NAL units of some types."""
    found = [content[a:b] for a, b in nals(content) if content[a] & 31 in kinds]
    return b"".join(START + nal for nal in found)


def without(content: bytes, *kinds: int) -> bytes:
    return only(content, *set(range(32)).difference(kinds))


def lose(place: Place) -> Units:
    return [*place.units[: place.at], *place.units[place.at + 1 :]]


def lose_uncounted(place: Place) -> Units:
    """Lose a unit before its stream is numbered."""
    later = [replace(one, seq=one.seq - 1) for one in place.units[place.at + 1 :]]
    return [*place.units[: place.at], *later]


def lose_keyframe(place: Place) -> Units:
    return lose(replace(place, at=place.group))


def lose_as_many_as_a_group(place: Place) -> Units:
    """Lose so many units that the next one has the frame_num that is due: only `seq` shows it."""
    return [*place.units[: place.at], *place.units[place.at + place.group :]]


def repeat(place: Place) -> Units:
    return [*place.units[: place.at + 1], *place.units[place.at :]]


def repeat_group(place: Place) -> Units:
    return [*place.units[: place.group], *place.units]


def swap(place: Place) -> Units:
    return [*place.units[: place.at], *place.units[place.at : place.at + 2][::-1],
            *place.units[place.at + 2 :]]  # fmt: skip


def swap_with_keyframe(place: Place) -> Units:
    return swap(replace(place, at=place.group - 1))


def join(place: Place) -> Units:
    """Put two units into one record."""
    joined = place.put(place.unit.content + place.units[place.at + 1].content)
    return [*joined[: place.at + 1], *joined[place.at + 2 :]]


def cut(place: Place) -> Units:
    most = len(place.unit.content) - END_BYTES
    return place.put(place.unit.content[: place.rng.randrange(1, most)], origin=place.unit.origin)


def cut_end(place: Place) -> Units:
    missing = place.rng.randrange(1, END_BYTES + 1)
    return place.put(place.unit.content[:-missing], origin=place.unit.origin)


def lose_slice(place: Place) -> Units:
    content = place.unit.content
    slices = [nal for nal in nals(content) if content[nal[0]] & 31 in (SLICE, IDR)]
    begin, end = place.rng.choice(slices)
    return place.put(content[: begin - 3] + content[end:])


def lose_part(place: Place) -> Units:
    """Lose a part out of the middle of a unit."""
    content = place.unit.content
    at = place.rng.randrange(len(content) // 4, len(content) // 2)
    return place.put(content[:at] + content[at + len(content) // 4 :], origin=place.unit.origin)


def lose_sets(place: Place) -> Units:
    lost = place.rng.choice([(SPS,), (PPS,), (SPS, PPS)])
    return place.put(without(place.unit.content, *lost))


def insert_foreign_sps(place: Place) -> Units:
    return place.put(only(place.foreign, SPS) + place.unit.content)


def insert_foreign_sets(place: Place) -> Units:
    return place.put(only(place.foreign, SPS, PPS) + place.unit.content)


def insert_foreign_pps(place: Place) -> Units:
    return place.put(only(place.foreign, PPS) + place.unit.content)


def replace_sets(place: Place) -> Units:
    """Put another stream's parameter sets into a keyframe."""
    slices = without(place.unit.content, SPS, PPS)
    return place.put(only(place.foreign, SPS, PPS) + slices)


def claim_refused_size(place: Place) -> Units:
    return _claim(place, REFUSED_SIZES)


def claim_largest_size(place: Place) -> Units:
    return _claim(place, LARGEST_SIZES)


def _claim(place: Place, sizes: Sequence[tuple[int, int]]) -> Units:
    content = place.unit.content
    sps = sps_of_size(only(content, SPS), *place.rng.choice(sizes))
    return place.put(START + sps + without(content, SPS))


def flip_in(*kinds: int, first: int = 0, last: int = 1 << 20) -> Damage:
    """Flip a bit of a NAL unit of some type, in its bytes from `first` to `last`."""

    def flip(place: Place) -> Units:
        damaged = bytearray(place.unit.content)
        spans = [span for span in nals(place.unit.content) if damaged[span[0]] & 31 in kinds]
        begin, end = place.rng.choice([(a, b) for a, b in spans if a + first < b])
        at = place.rng.randrange(begin + first, min(end, begin + last))
        damaged[at] ^= 1 << place.rng.randrange(8)
        return place.put(bytes(damaged), origin=place.unit.origin)

    return flip


def in_keyframe(damage: Damage) -> Damage:
    """Return the same damage in the keyframe of the group."""
    return lambda place: damage(replace(place, at=0))


def flip_anywhere(place: Place) -> Units:
    damaged = bytearray(place.unit.content)
    damaged[place.rng.randrange(len(damaged))] ^= 1 << place.rng.randrange(8)
    return place.put(bytes(damaged), origin=place.unit.origin)


def empty(place: Place) -> Units:
    return place.put(b"")


def garbage(place: Place) -> Units:
    start = place.rng.choice([b"", START, START + b"\x67", START + b"\x65", START + b"\x41"])
    return place.put(start + place.rng.randbytes(place.rng.randrange(1, 3000)))


def call_it_h265(place: Place) -> Units:
    changed = replace(place.unit, content_type=place.rng.choice(H265_TYPES))
    return [*place.units[: place.at], changed, *place.units[place.at + 1 :]]


def h265(place: Place) -> Units:
    return place.put(place.rng.choice(encoded("hevc")))


def sps_of_size(sps: bytes, columns: int, rows: int) -> bytes:
    """Return a NAL unit like an SPS, with another size in macroblocks, and without VUI."""
    begin = nals(sps)[0][0]
    profile = sps[begin + 1]
    known = read_sps(sps[begin:])
    bits = f"{profile:08b}{0:08b}{LEVEL:08b}" + _ue(known.id)
    if profile == HIGH_PROFILE:
        bits += _ue(1) + _ue(0) + _ue(0) + "00"
    bits += _ue(known.frame_num_bits - 4) + _ue(known.poc_type)
    bits += _ue(known.poc_bits - 4) if known.poc_type == 0 else ""
    bits += _ue(3) + "0" + _ue(columns - 1) + _ue(rows - 1)
    bits += ("1" if known.frames_only else "01") + "1" + "0" + "0" + "1"
    bits += "0" * (-len(bits) % 8)
    raw = int(bits, 2).to_bytes(len(bits) // 8)
    escaped = bytearray()
    for byte in raw:  # two zeros and a small byte are not allowed in a NAL unit
        if byte <= 3 and escaped.endswith(b"\0\0"):
            escaped.append(3)
        escaped.append(byte)
    return b"\x67" + bytes(escaped)


def _ue(number: int) -> str:
    code = f"{number + 1:b}"
    return "0" * (len(code) - 1) + code
