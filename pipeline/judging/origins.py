"""Checks a partition that began with a growth against the one that its streams came from."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.judging.books import Books
from pipeline.judging.chain import Fault
from pipeline.judging.trail import Trail, Wrong
from pipeline.wire.growths.growth import origin
from pipeline.wire.predictions import NEW_CHAIN

Trails = Mapping[tuple[int, int], Trail]  # by partition and life
FIRST_LIFE = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """How a partition began: with `streams` of `source`, at a growth of the group."""

    source: int
    before: int
    after: int
    streams: int
    at_ms: int


def origin_of(number: int, books: Books) -> Origin | None:
    """Return the growth with which a partition began; None if it began otherwise."""
    growth = origin(books.growths, number)
    source = None if growth is None else growth.source_of(number)
    if growth is None or source is None or growth.arrival is None:
        return None
    arrival = growth.arrival
    return Origin(source, growth.before, growth.after, arrival.streams, arrival.at_ms)


def check_origin(number: int, books: Mapping[int, Books], trails: Trails, *, cut: bool) -> None:
    """Check that no stream lost its chain when it moved to a partition, and none is in two.

    `cut`: retention may have deleted its last predictions in the source.
    """
    began = origin_of(number, books[number])
    if began is None or began.source not in books:
        return
    trail = trails[number, FIRST_LIFE]
    manifest = books[number].manifest_of(FIRST_LIFE)
    if manifest is not None and manifest.first_offset != 0:
        message = "it is new since a growth, and such a partition begins at offset 0, not at"
        trail.find(Wrong.LIFE, f"{message} {manifest.first_offset}")
    _check_links(trail, began.source, books[began.source], trails, cut=cut)
    _check_departures(number, began.source, books[began.source], trails)


def _check_links(trail: Trail, source: int, left: Books, trails: Trails, *, cut: bool) -> None:
    """The first link of a moved stream continues from its last one in the source."""
    for stream, published in trail.streams.items():
        moved = left.moved.get(stream)
        wanted = _last_chain(stream, source, trails) if moved is None else moved.chain
        if published.first_prev in (NEW_CHAIN, wanted) or (wanted is None and cut):
            continue
        message = f"prev is {published.first_prev}, its chain in partition {source} ended with"
        trail.find(Fault.UNLINKED, f"{message} {wanted}", stream)


def _check_departures(number: int, source: int, left: Books, trails: Trails) -> None:
    """A stream that has moved is neither predicted nor remembered any more where it was."""
    trail = trails[source, left.newest_life]
    for stream, moved in left.moved.items():
        if moved.to != number:
            continue
        published = trail.streams.get(stream)
        if published is not None and moved.chain not in (NEW_CHAIN, published.chain):
            message = f"its memory moved to partition {number} with chain {moved.chain}, and its"
            trail.find(Wrong.MEMORY, f"{message} last prediction is {published.chain}", stream)
        remembered = left.memories.get(stream)
        if remembered is not None and remembered[0] <= moved.offset:
            message = f"it has moved to partition {number}, and is still remembered here"
            trail.find(Wrong.MEMORY, message, stream)


def _last_chain(stream: str, source: int, trails: Trails) -> str | None:
    """Return the chain of a stream's last prediction in a partition, in the newest life with it."""
    found = [
        (life, trail.streams[stream].chain)
        for (number, life), trail in trails.items()
        if number == source and stream in trail.streams
    ]
    return max(found)[1] if found else None
