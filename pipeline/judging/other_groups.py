"""Sets apart what other groups published into the topics of the group that is judged."""

from collections import Counter
from collections.abc import Iterable, Iterator

from pipeline.records import Record
from pipeline.wire.belongings.ownership import publisher_of


class OtherGroups:
    """Counts the records of other groups than `group`. A record that names none counts as ours."""

    def __init__(self, group: str) -> None:
        self._group = group
        self.counts: Counter[str] = Counter()

    def published(self, record: Record) -> bool:
        """Return whether another group published a record, and count it then."""
        publisher = publisher_of(record)
        if publisher is None or publisher == self._group:
            return False
        self.counts[publisher] += 1
        return True

    def left_out(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield the records without those of other groups."""
        return (record for record in records if not self.published(record))
