"""A partition's past as its changelog records it, and the range of records to replay."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.records import Changelog, Destination
from pipeline.wire.changelog import MANIFEST_KEY, SKIPS_PREFIX, Manifest
from pipeline.wire.growths.growth import growths, origin
from pipeline.wire.growths.moved_stream import MovedStream, moved_streams
from pipeline.wire.lives import Life, life_key
from pipeline.wire.skips import Skips


@dataclass(frozen=True, slots=True)
class History:
    """A partition's past from its changelog. `log_start` and `log_end` are those of the frames.

    `topic_ids` are the ids of today's topics, by role.
    """

    partition: int
    manifest: Manifest
    skips: tuple[Skips, ...]
    published_from: int  # offset in the predictions topic where this life's predictions begin
    log_start: int
    log_end: int
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    moved: tuple[MovedStream, ...] = ()  # streams that have left the partition at a growth
    source: int | None = None  # whence streams came with memory when it began; None: it had none

    @classmethod
    def read(cls, number: int, changelog: Changelog) -> "History | None":
        """Read the changelog; None if it has no manifest. Raises `CorruptStateError`."""
        found = changelog.records.get(MANIFEST_KEY)
        if found is None:
            return None
        manifest = Manifest.read(found)
        life = changelog.records.get(life_key(manifest.life))
        skips = tuple(
            Skips.read(record)
            for key, record in changelog.records.items()
            if key.startswith(SKIPS_PREFIX)
        )
        begun = life is not None and not manifest.identity.remade(Destination.PREDICTIONS)
        published_from = Life.read(life).predictions_end if life is not None and begun else 0
        began = origin(growths(changelog), number) if life is None else None
        return cls(
            number,
            manifest,
            skips,
            published_from,
            changelog.log_start,
            changelog.log_end,
            changelog.topic_ids,
            tuple(moved_streams(changelog).values()),
            None if began is None else began.source_of(number),
        )


@dataclass(frozen=True, slots=True)
class Stretch:
    """The records [start, end) of a partition. `notes` say how they differ from those requested.

    `exact`: the stretch begins where the group began without any memory, so memory is the same from
    the first record.
    """

    start: int
    end: int
    exact: bool
    notes: tuple[str, ...] = ()


def stretch(history: History, *, first: int | None, last: int | None) -> Stretch:
    """Return the records to replay: the requested ones, or by default all that the group finished.

    The stretch ends before offset `last`. Offsets that the log does not hold are left out.
    """
    manifest, name = history.manifest, f"partition {history.partition}"
    wanted = manifest.first_offset if first is None else first
    start = max(wanted, history.log_start)
    end = manifest.next_offset if last is None else last
    notes = []
    if start > wanted:
        notes.append(f"{name}: the log no longer holds offsets {wanted} to {start - 1} (retention)")
    if start != manifest.first_offset:
        notes.append(
            f"{name}: the group began at offset {manifest.first_offset}, this begins at {start}:"
            " nothing is promised of a stream before its memory next starts afresh, and units of"
            " H.264 are unkeyed before the next keyframe"
        )
    elif history.source is not None:
        notes.append(
            f"{name}: it began with streams that had moved from partition {history.source} with"
            " their memory, at a growth; this begins without it: nothing is promised of such a"
            " stream before its memory next starts afresh"
        )
    if end > history.log_end:
        notes.append(f"{name}: the log ends at offset {history.log_end}, not {end}")
        end = history.log_end
    exact = start == manifest.first_offset and history.source is None
    return Stretch(start, max(start, end), exact, tuple(notes))
