"""A partition's changelog as an audit uses it: its ledger, its lives, its skipped frames."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.judging.trail import Trail, Wrong
from pipeline.records import Changelog, Destination, Fate, Record
from pipeline.wire.changelog import (
    LIFE_PREFIX,
    MANIFEST_KEY,
    SKIPS_PREFIX,
    SNAPSHOT_PREFIX,
    Manifest,
)
from pipeline.wire.growths.growth import Growth, growths, origin
from pipeline.wire.growths.moved_stream import MovedStream, moved_streams
from pipeline.wire.lives import Life
from pipeline.wire.predictions import NEW_CHAIN
from pipeline.wire.skips import Skips
from pipeline.wire.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class Books:
    """The changelog of one partition. `lives` are in order; the first life has no record."""

    manifest: Manifest | None
    lives: tuple[Life, ...]
    skips: tuple[Skips, ...]
    memories: Mapping[str, tuple[int, str]]  # by stream: newest record's offset, chain
    frames_start: int  # retention has deleted the frames below this offset
    growths: tuple[Growth, ...]
    moved: Mapping[str, MovedStream]  # streams that have left the partition, by name

    @classmethod
    def read(cls, changelog: Changelog) -> "Books":
        """Read a changelog. Raises `CorruptStateError` if a record cannot be read.

        A topic of predictions or dead letters that was made anew holds nothing of earlier lives.
        """
        found = changelog.records.get(MANIFEST_KEY)
        manifest = None if found is None else Manifest.read(found)
        lives = [Life.read(record) for record in _named(changelog, LIFE_PREFIX)]
        skips = [Skips.read(record) for record in _named(changelog, SKIPS_PREFIX)]
        shots = (Snapshot.read(record) for record in _named(changelog, SNAPSHOT_PREFIX))
        memories = {shot.stream: (shot.offset, shot.chain) for shot in shots}
        ordered = sorted(lives, key=lambda life: life.number)
        if manifest is not None and manifest.identity.remade(Destination.PREDICTIONS):
            ordered = [replace(life, predictions_end=0) for life in ordered]
        if manifest is not None and manifest.identity.remade(Destination.DEAD_LETTERS):
            ordered = [replace(life, dead_letters_end={}) for life in ordered]
        return cls(
            manifest,
            tuple(ordered),
            tuple(skips),
            memories,
            changelog.log_start,
            tuple(growths(changelog)),
            moved_streams(changelog),
        )

    @property
    def newest_life(self) -> int:
        """The number of the partition's current life."""
        return self.lives[-1].number if self.lives else 1

    def manifest_of(self, life: int) -> Manifest | None:
        """Return the ledger of a life; None unless it is the newest: older ones are not kept."""
        return self.manifest if life == self.newest_life else None

    def life_of_prediction(self, offset: int) -> int:
        """Return which life published the prediction at this offset of the predictions topic."""
        begun = [life.number for life in self.lives if life.predictions_end <= offset]
        return begun[-1] if begun else 1

    def life_of_dead_letter(self, partition: int, offset: int) -> int:
        """Return which life published the dead letter at this place of the dead-letter topic."""
        begun = [
            life.number for life in self.lives if life.dead_letters_end.get(partition, 0) <= offset
        ]
        return begun[-1] if begun else 1

    def predictions_cut(self, life: int, start: int) -> int | None:
        """Return `start`, where the predictions' log begins, if the life began before it."""
        begun = {begun.number: begun.predictions_end for begun in self.lives}
        return start if start > begun.get(life, 0) else None

    def dead_letters_cut(self, life: int, starts: Mapping[int, int]) -> int | None:
        """Return where the dead letters' log begins, if the life began before it in a partition."""
        begun = {begun.number: begun.dead_letters_end for begun in self.lives}
        ends = begun.get(life, {})
        return max((at for n, at in starts.items() if at > ends.get(n, 0)), default=None)

    def check(self, trail: Trail, manifest: Manifest) -> None:
        """Check that the ledger adds up, and compare it with what the newest life published."""
        self._check_older(trail, manifest)
        self._check_sums(trail, manifest)
        self._check_life(trail, manifest)
        self._check_skips(trail, manifest)
        self._check_memories(trail, manifest)

    def _check_older(self, trail: Trail, manifest: Manifest) -> None:
        if trail.older:
            trail.find(
                Wrong.OLDER,
                f"{trail.older} predictions are older than the ledger, which begins at offset"
                f" {manifest.first_offset}: was the changelog lost, or does another group publish"
                " here?",
            )

    def _check_sums(self, trail: Trail, manifest: Manifest) -> None:
        first, end = manifest.first_offset, manifest.next_offset
        accounted = sum(manifest.fates.values()) + manifest.absent + manifest.expired
        if end - first != accounted:
            message = f"offsets {first} to {end} are {end - first}, fates, absent and expired are"
            trail.find(Wrong.LEDGER, f"{message} {accounted}")
        began = origin(self.growths, trail.partition)
        arrived = 0 if began is None or began.arrival is None else began.arrival.ended
        ended = manifest.fates.get(Fate.ENDED, 0) + arrived
        if trail.after_ends > ended:
            message = f"streams began {trail.after_ends} times after an end, {ended} have ended"
            trail.find(Wrong.ENDED, message)

    def _check_life(self, trail: Trail, manifest: Manifest) -> None:
        begun = self.lives[-1].first_offset if self.lives else manifest.first_offset
        if (manifest.life, manifest.first_offset) != (self.newest_life, begun):
            trail.find(
                Wrong.LIFE,
                f"the newest life is {self.newest_life} from offset {begun}, the manifest says"
                f" {manifest.life} from {manifest.first_offset}: did a worker run while the"
                " partition was moved?",
            )

    def _check_skips(self, trail: Trail, manifest: Manifest) -> None:
        """Skipped frames have no prediction; the ledger has no more skips than the ranges allow.

        The ranges are only an upper bound, and they are deleted when retention deletes their
        frames.
        """
        allowed = 0
        for skips in self.skips:
            published = trail.streams.get(skips.stream)
            for range_first, range_last in skips.ranges:
                first = max(range_first, manifest.first_offset)
                last = min(range_last, manifest.next_offset - 1)
                allowed += max(0, last - first + 1)
                found = None if published is None else published.between(first, last)
                if found is not None:
                    trail.find(Wrong.TWO_FATES, "predicted and skipped", skips.stream, found)
        skipped = manifest.fates.get(Fate.SKIPPED, 0)
        if skipped > allowed and self.frames_start <= manifest.first_offset:
            message = f"{skipped} frames are skipped, the changelog tells of {allowed}"
            trail.find(Wrong.SKIPPED, message)

    def _check_memories(self, trail: Trail, manifest: Manifest) -> None:
        """A snapshot's chain equals the chain of its stream's last prediction.

        It is NEW_CHAIN if every frame since the stream began was dead-lettered. A snapshot with an
        offset beyond the manifest was committed during the audit, and is not checked.
        """
        for stream, (offset, chain) in self.memories.items():
            published = trail.streams.get(stream)
            if published is None or chain == NEW_CHAIN or offset >= manifest.next_offset:
                continue
            if published.chain != chain:
                message = f"its memory goes on from {chain}, its last prediction is"
                trail.find(Wrong.MEMORY, f"{message} {published.chain}", stream)


def _named(changelog: Changelog, prefix: bytes) -> list[Record]:
    return [record for key, record in changelog.records.items() if key.startswith(prefix)]
