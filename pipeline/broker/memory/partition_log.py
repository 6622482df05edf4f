"""One partition of a topic: records, transactions and their markers."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pipeline.records import Record


@dataclass(slots=True)
class Transaction:
    """A producer's transaction: whether its records are committed."""

    committed: bool = False

    def commit(self) -> None:
        """Commit. Readers see the records once the markers are written."""
        self.committed = True


@dataclass(frozen=True, slots=True)
class Entry:
    """One offset: a record, or the marker that ends a transaction."""

    record: Record | None
    transaction: Transaction | None = None

    @property
    def visible(self) -> bool:
        """Whether a reader of committed records sees it."""
        committed = self.transaction is None or self.transaction.committed
        return committed and self.record is not None


@dataclass(slots=True)
class PartitionLog:
    """The offsets [start, end) of one partition, and the transactions that are open in it."""

    start: int = 0
    entries: list[Entry] = field(default_factory=list)
    open: dict[int, int] = field(default_factory=dict)  # id of transaction -> its first offset

    @property
    def end(self) -> int:
        """The offset of the next record."""
        return self.start + len(self.entries)

    @property
    def stable_end(self) -> int:
        """The first offset of an open transaction, or the end. Readers read only below it."""
        return min(self.open.values(), default=self.end)

    def append(self, record: Record, transaction: Transaction | None = None) -> int:
        """Write a record. Returns its offset."""
        offset = self.end
        self.entries.append(Entry(replace(record, offset=offset), transaction))
        if transaction is not None:
            self.open.setdefault(id(transaction), offset)
        return offset

    def mark_end(self, transaction: Transaction) -> None:
        """Write the marker that ends a transaction. It takes an offset of its own."""
        del self.open[id(transaction)]
        self.entries.append(Entry(None))

    def committed(self, offset: int, end: int) -> Iterable[Record]:
        """Return the visible records of [offset, end)."""
        for entry in self.entries[max(0, offset - self.start) : end - self.start]:
            if entry.visible and entry.record is not None:
                yield entry.record

    def expire(self, offset: int) -> None:
        """Delete all records below `offset`, as retention does."""
        del self.entries[: max(0, offset - self.start)]
        self.start = max(self.start, offset)
