"""What a partition's memory and ledger belong to, beside its records: topics, and the rules.

It is part of the manifest. A name alone does not say which topic it is: one that is deleted and
made anew has another id (KIP-516). Only here is it written and read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import JsonValue

from pipeline.wire.json_text import Fields

MOST_TEXT = 250  # characters of a topic's name, or of its id


@dataclass(frozen=True, slots=True)
class KnownTopic:
    """A topic by its name and its id, which is empty if it is not known.

    Frames below the offset `since` were finished with another topic in its place; 0: none.
    """

    name: str
    id: str
    since: int = 0
    unknown: Mapping[str, JsonValue] = field(default_factory=dict)

    def is_another(self, name: str, topic_id: str) -> bool:
        """Return whether a topic of this name and id is not this one, as far as is known."""
        return self.name != name or (bool(self.id and topic_id) and self.id != topic_id)


@dataclass(frozen=True, slots=True)
class MemoryIdentity:
    """The topics of a partition by their role, and the rules by which its frames are decided.

    The frames from `rules_since` to `offset` were decided by `rules`, by setting; those before by
    others, or by a release that did not write them down. `unknown` holds fields of a newer release,
    which may also name other roles and rules. An empty one is that of an older release.
    """

    topics: Mapping[str, KnownTopic] = field(default_factory=dict)
    rules: Mapping[str, float] = field(default_factory=dict)
    rules_since: int = 0
    offset: int = 0
    unknown: Mapping[str, JsonValue] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return bool(self.topics or self.rules)

    def at(self, offset: int) -> "MemoryIdentity":
        """Return it for a manifest that ends before `offset`."""
        return replace(self, offset=offset)

    def begun(self) -> "MemoryIdentity":
        """Return it for a new partition, in which nothing is finished yet."""
        topics = {role: replace(topic, since=0) for role, topic in self.topics.items()}
        return replace(self, topics=topics, rules_since=0, offset=0)

    def others(self, ids: Mapping[str, str]) -> list[str]:
        """Return the roles of topics that have other ids now. `ids`: of today's topics, by role."""
        return [
            role
            for role, topic in self.topics.items()
            if topic.is_another(topic.name, ids.get(role, ""))
        ]

    def remade(self, role: str) -> bool:
        """Return whether frames of this life were finished with another topic in a role."""
        return role in self.topics and self.topics[role].since > 0

    def content(self) -> dict[str, Any]:
        """Return it as the content of a JSON object."""
        topics = {
            role: {"name": one.name, "id": one.id, "since": one.since, **one.unknown}
            for role, one in self.topics.items()
        }
        return {
            "topics": topics,
            "rules": {rule: _number(value) for rule, value in self.rules.items()},
            "rules_since": self.rules_since,
            "offset": self.offset,
            **self.unknown,
        }

    @classmethod
    def read(cls, fields: Fields) -> "MemoryIdentity":
        """Read it. Raises `UnreadableError`."""
        topics = fields.inner("topics")
        return cls(
            topics={role: _topic(topics.inner(role)) for role in tuple(topics.rest)},
            rules=fields.numbers("rules", 0.0, float("inf")),
            rules_since=fields.integer("rules_since"),
            offset=fields.integer("offset"),
            unknown=fields.rest,
        )


def _topic(fields: Fields) -> KnownTopic:
    return KnownTopic(
        name=fields.text("name", MOST_TEXT),
        id=fields.text("id", MOST_TEXT),
        since=fields.integer("since"),
        unknown=fields.rest,
    )


def _number(value: float) -> float:
    """Return a whole number without a fraction, as people write it."""
    return int(value) if float(value).is_integer() else value
