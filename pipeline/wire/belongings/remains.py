"""What is left of a group's work in a partition whose manifest is gone."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.records import Record
from pipeline.wire.belongings.ownership import publisher_of
from pipeline.wire.json_text import UnreadableError
from pipeline.wire.predictions import Prediction


@dataclass(frozen=True, slots=True)
class Remains:
    """Where a group was in a partition, by what it has left there beside its changelog.

    `committed` is its committed offset of the frames, `predicted` that behind the frame of its
    newest prediction. None: there is none, or it is not known.
    """

    committed: int | None = None
    predicted: int | None = None


NOTHING_LEFT = Remains()


def predicted_by(group: str, records: Iterable[Record]) -> dict[int, int]:
    """Return the offset behind the frame of a group's newest prediction, by partition.

    `records` are of the topic of predictions, in the log's order. Those that name no group, or
    cannot be read, say nothing.
    """
    found: dict[int, int] = {}
    for record in records:
        if publisher_of(record) != group:
            continue
        try:
            prediction = Prediction.read(record.value)
        except UnreadableError:
            continue
        if prediction.partition == record.partition:
            found[record.partition] = prediction.offset + 1
    return found
