"""To which group an output topic, and each record in it, belongs. Written and read only here.

A *claim* is the metadata of a committed offset: that of the consumer group `OWNERS` in partition 0
of the topic. So it needs no topic of its own, and is deleted with the topic. Each record names its
group in a header; records of releases before this one do not.
"""

from pipeline.records import Record
from pipeline.wire.json_text import Fields, UnreadableError, read_object, write_object

OWNERS = "longtake/owners"  # no name of a worker's group has a slash
CLAIM_SCHEMA = 1
GROUP_HEADER = "group"
MOST_GROUP = 249  # characters, as of a Kafka topic


def write_claim(group: str) -> str:
    """Return the claim of a group."""
    return write_object({"group": group, "schema": CLAIM_SCHEMA}).decode()


def read_claim(text: str) -> str | None:
    """Return the group that claims a topic; None for an offset that a tool has set.

    Raises `UnreadableError` for a claim of a newer release, or of another program.
    """
    if not text:
        return None
    fields = Fields(read_object(text.encode()))
    fields.schema(CLAIM_SCHEMA)
    group = fields.text("group", MOST_GROUP)
    if not group:
        raise UnreadableError("it names no group")
    return group


def publisher_of(record: Record) -> str | None:
    """Return the group that published an output; None if an earlier release did.

    Any program can write the header: the name is for comparing, and for messages as `printable`.
    """
    named = dict(record.headers).get(GROUP_HEADER)
    return None if named is None else named.decode("utf-8", "replace")[:MOST_GROUP]
