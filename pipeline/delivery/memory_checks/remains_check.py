"""Refuses to begin a partition afresh in which the group has worked: its changelog is lost.

A worker writes a manifest in every transaction in which it commits offsets or predictions, and
before the first one.
"""

from collections.abc import Sequence

from pipeline.broker.contract import OwnChangelogs
from pipeline.delivery.memory_checks.identity_check import NEW_LIFE, OwnIdentity
from pipeline.errors import IdentityError
from pipeline.records import Destination
from pipeline.wire.belongings.remains import Remains, predicted_by

LOOKED_AT = 100  # newest records of a partition of predictions


def find_predicted(reader: OwnChangelogs, group: str, partitions: Sequence[int]) -> dict[int, int]:
    """Return `predicted` of `Remains` by partition, from the newest `LOOKED_AT` predictions."""
    if not partitions:
        return {}
    newest = reader.newest(Destination.PREDICTIONS, partitions, most=LOOKED_AT)
    return predicted_by(group, newest)


def find_remains(
    reader: OwnChangelogs, group: str, partitions: Sequence[int]
) -> dict[int, Remains]:
    """Return what is left of a group's work in partitions that have no manifest."""
    if not partitions:
        return {}
    committed = reader.committed(partitions)
    predicted = find_predicted(reader, group, partitions)
    return {n: Remains(committed.get(n), predicted.get(n)) for n in partitions}


def require_new(number: int, own: OwnIdentity, remains: Remains) -> None:
    """Raise `IdentityError` if a partition without a manifest was worked on before."""
    if remains.committed is not None:
        found, to = f"has committed its offset {remains.committed}", "committed"
    elif remains.predicted is not None:
        found, to = f"has published predictions up to its offset {remains.predicted}", "predicted"
    else:
        return
    raise IdentityError(
        f"partition {number} has no manifest in {own.topics.get(Destination.STATE)}, and group"
        f" {own.group} {found}: the changelog is lost (was the topic deleted, or made anew?),"
        " and with it memory and ledger. Bring it back; or,"
        f" {NEW_LIFE.format(to=to, group=own.group)} lets all streams start afresh where the"
        " group was"
    )
