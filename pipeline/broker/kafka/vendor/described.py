"""Reads the client's description of a topic."""

from collections.abc import Mapping

from kafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from pipeline.broker.kafka.topic_rules import Presence, TopicFacts


def facts_of(name: str, role: str, described: Mapping[str, object]) -> TopicFacts:
    """Return the facts of a topic, without its settings."""
    presence = presence_of(described)
    partitions = described.get("partitions")
    operations = described.get("authorized_operations")
    found = partitions if isinstance(partitions, list) else []
    copies = [len(one["replica_nodes"]) for one in found]
    return TopicFacts(
        name,
        role,
        presence,
        partitions=len(found) if presence is Presence.PRESENT else 0,
        replicas=min(copies, default=0),
        operations=frozenset(operations if isinstance(operations, list) else ()),
    )


def presence_of(described: Mapping[str, object]) -> Presence:
    """Return whether the topic exists; a user who may not see it learns neither."""
    code = described["error_code"]
    if code == TopicAuthorizationFailedError.errno:
        return Presence.HIDDEN
    return Presence.MISSING if code == UnknownTopicOrPartitionError.errno else Presence.PRESENT
