"""Damaged units of H.264 among whole ones of several streams. A seed reproduces them all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count, cycle, zip_longest
from random import Random

import av

from pipeline.media.pictures import Fit, fit_frame
from pipeline.media.showing.interlaced import progressive
from pipeline.media.video.headers.h264_headers import IDR, PPS, SLICE, SPS
from pipeline.records import Headers
from tests.damaged import unit_damage as damage
from tests.damaged.corpus import PARTITIONS, PERIOD_MS, STARTED_MS, Sent
from tests.damaged.unit_damage import Damage, Place, SpoiledUnit, flip_in, in_keyframe, only
from tests.pipeline.media.video.encoding import HEIGHT, WIDTH, codec_of, encoded

GROUP = 5
GROUPED = f"keyint={GROUP}:min-keyint={GROUP}"
LIKE_A_GROUP = "lost as many as a group"  # only `seq` shows it
LOST_SLICE = "lost slice"  # of several
SIZE = Fit(HEIGHT, WIDTH, "stretch")  # of the films: pictures are compared pixel by pixel
NARROW = 64


@dataclass(frozen=True, slots=True)
class Film:
    """What a camera sends, again and again. `numbered`: with `seq`."""

    name: str
    width: int = WIDTH
    numbered: bool = True

    @property
    def units(self) -> tuple[bytes, ...]:
        return encoded(self.name, width=self.width, more=GROUPED)


FILMS = {
    "cabac": Film("cabac"),
    "cavlc": Film("cavlc"),
    "slices": Film("slices"),
    "messages": Film("messages"),
    "mbaff": Film("mbaff"),
    "narrow": Film("cabac", NARROW),
    "cabac-unnumbered": Film("cabac", numbered=False),
    "cavlc-unnumbered": Film("cavlc", numbered=False),
    "slices-unnumbered": Film("slices", numbered=False),
}
UNDAMAGED = {"whole-0": "cabac", "whole-1": "cavlc", "whole-2": "slices"}

MISPLACED: dict[str, Damage] = {  # all bytes are those of the film
    "lost": damage.lose,
    "lost before numbering": damage.lose_uncounted,
    "lost keyframe": damage.lose_keyframe,
    "repeated": damage.repeat,
    "repeated group": damage.repeat_group,
    "swapped": damage.swap,
    "swapped with keyframe": damage.swap_with_keyframe,
    LIKE_A_GROUP: damage.lose_as_many_as_a_group,
}
REFUSED: dict[str, Damage] = {  # a dead letter each
    "joined": damage.join,
    "cut": damage.cut,
    "cut keyframe": in_keyframe(damage.cut),
    LOST_SLICE: damage.lose_slice,
    "keyframe without sets": in_keyframe(damage.lose_sets),
    "keyframe with foreign sets": in_keyframe(damage.replace_sets),
    "foreign SPS in a group": damage.insert_foreign_sps,
    "foreign PPS in a group": damage.insert_foreign_pps,
    "foreign sets in a group": damage.insert_foreign_sets,
    "SPS of a refused size": in_keyframe(damage.claim_refused_size),
    "SPS of the largest size": in_keyframe(damage.claim_largest_size),
    "empty": damage.empty,
    "garbage": damage.garbage,
    "H.265": damage.call_it_h265,
    "H.265 as H.264": damage.h265,
}
NOT_KNOWN: dict[str, Damage] = {  # without a checksum, what decodes may be another picture
    "flipped in slice": flip_in(SLICE, first=8),
    "flipped in slice header": flip_in(SLICE, first=1, last=6),
    "flipped in keyframe": in_keyframe(flip_in(IDR, first=8)),
    "flipped in SPS": in_keyframe(flip_in(SPS)),
    "flipped in PPS": in_keyframe(flip_in(PPS)),
    "flipped anywhere": damage.flip_anywhere,
    "cut at its end": damage.cut_end,
    "lost part": damage.lose_part,
}
KINDS = MISPLACED | REFUSED | NOT_KNOWN


@dataclass(frozen=True, slots=True)
class SentUnit:
    """One record, and how its unit was damaged."""

    stream: str
    unit: SpoiledUnit
    record: Sent


@cache
def pictures(fit: Fit) -> dict[bytes, bytes]:
    """Return the encoder's own picture of each unit of all films, as RGB pixels."""
    found = dict[bytes, bytes]()
    for film in FILMS.values():
        decoder = av.VideoCodecContext.create(codec_of(film.name), "r")
        decoder.thread_count = 1
        frames = [frame for unit in film.units for frame in decoder.decode(av.Packet(unit))]
        frames += decoder.decode(None)
        fitted = [fit_frame(progressive(frame), fit).tobytes() for frame in frames]
        found |= zip(film.units, fitted, strict=True)
    return found


def records(seed: int, of_each: int, *, kinds: Mapping[str, Damage] = KINDS) -> list[SentUnit]:
    """Return the records of all streams, with some damages of each kind."""
    rng = Random(seed)  # noqa: S311 - reproducible on purpose
    planned: dict[str, list[str]] = {stream: [] for stream in FILMS}
    for kind in [*kinds] * of_each:
        planned[rng.choice([one for one in FILMS if _fits(kind, FILMS[one])])].append(kind)
    sent = {stream: list(_spoiled(stream, planned[stream], rng)) for stream in FILMS}
    longest = max(map(len, sent.values()))
    for stream, film in UNDAMAGED.items():
        most = len(FILMS[film].units)
        sent[stream] = [_whole(FILMS[film], n % most, n) for n in range(longest // 2)]
    rounds = zip_longest(*([(name, one) for one in units] for name, units in sent.items()))
    return [_sent(*entry) for row in rounds for entry in row if entry]


def _fits(kind: str, film: Film) -> bool:
    if kind == LOST_SLICE:
        return film.name in ("slices", "messages")
    return film.numbered or kind != LIKE_A_GROUP


def _foreign(film: Film, rng: Random) -> bytes:
    """Return the keyframe of another film, with other parameter sets."""
    own = film.units[0]
    others = [one.units[0] for one in FILMS.values()]
    return rng.choice(
        [one for one in others if all(only(one, kind) != only(own, kind) for kind in (SPS, PPS))]
    )


def _spoiled(stream: str, kinds: Sequence[str], rng: Random) -> Iterator[SpoiledUnit]:
    """Yield a stream's units: a damage in each group, or in two that it concerns."""
    film, units = FILMS[stream], list[SpoiledUnit]()
    numbers, seqs = cycle(range(len(film.units))), count()
    for kind in kinds:
        while len(units) < 2 * GROUP:
            units.append(_whole(film, next(numbers), next(seqs)))
        place = Place(units, rng.randrange(1, GROUP - 1), GROUP, _foreign(film, rng), rng)
        spoiled = _labelled(units, KINDS[kind](place), kind)
        later = units[GROUP:]
        if spoiled[-GROUP:] == later:
            yield from spoiled[:-GROUP]
            units = later
        else:
            yield from spoiled
            units, seqs = [], count(spoiled[-1].seq + 1)
    yield from units


def _whole(film: Film, number: int, seq: int) -> SpoiledUnit:
    return SpoiledUnit(film.units[number], seq, number, film.units[number])


def _labelled(
    units: Sequence[SpoiledUnit], spoiled: Sequence[SpoiledUnit], kind: str
) -> list[SpoiledUnit]:
    """Name the damage at the first record that differs. Raises if none does."""
    at = next(n for n, one in enumerate(spoiled) if not _same(one, units[n]))
    return [*spoiled[:at], replace(spoiled[at], kind=kind), *spoiled[at + 1 :]]


def _same(one: SpoiledUnit, other: SpoiledUnit) -> bool:
    return (one.content, one.content_type) == (other.content, other.content_type)


def _sent(stream: str, unit: SpoiledUnit) -> SentUnit:
    """Date a unit as cameras do, and number it if the stream is numbered."""
    captured = b"%d" % (STARTED_MS + unit.seq * PERIOD_MS)
    headers: Headers = (("content-type", unit.content_type.encode()), ("captured-at", captured))
    if FILMS[UNDAMAGED.get(stream, stream)].numbered:
        headers = (*headers, ("seq", b"%d" % unit.seq), ("epoch", b"1"))
    partition = sorted({*FILMS, *UNDAMAGED}).index(stream) % PARTITIONS
    return SentUnit(
        stream, unit, Sent(unit.kind, partition, stream.encode(), unit.content, headers)
    )
