"""Decides whether a partition's memory belongs to the topics and the rules of this worker."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.config import EVENT_RULES, ChangedRules
from pipeline.errors import IdentityError
from pipeline.records import FRAMES, Destination
from pipeline.text.printable import printable
from pipeline.wire.belongings.identity import KnownTopic, MemoryIdentity
from pipeline.wire.changelog import Manifest

log = logging.getLogger(__name__)

ONLY_WRITTEN = (Destination.PREDICTIONS, Destination.EVENTS, Destination.DEAD_LETTERS)
NEW_LIFE = "with all workers stopped, `longtake reset partition --every --to {to} --group {group}`"


@dataclass(frozen=True, slots=True)
class OwnIdentity:
    """The topics of this worker by role, the settings that decide, and whether they may change."""

    group: str
    topics: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, float] = field(default_factory=dict)
    changed: ChangedRules = ChangedRules.REFUSE

    def begin(self, offset: int, ids: Mapping[str, str]) -> MemoryIdentity:
        """Return the identity of a partition whose frames from `offset` on are decided by us."""
        topics = {role: KnownTopic(name, ids.get(role, "")) for role, name in self.topics.items()}
        return MemoryIdentity(topics, self.rules, rules_since=offset)


def identify(
    number: int, manifest: Manifest, own: OwnIdentity, ids: Mapping[str, str]
) -> MemoryIdentity:
    """Return the identity that a restored partition goes on with.

    `ids` are those of today's topics, by role. What an older release did not write down is filled
    in. A topic of predictions or dead letters that was made anew has lost what its readers have not
    read: that is logged, and memory goes on. Raises `IdentityError` for all else that has changed,
    unless `own.changed` accepts it; another topic of frames is never accepted.
    """
    before, place = manifest.identity, f"partition {number} of group {own.group}"
    _require_frames(place, before, own, ids)
    changes = [*_other_outputs(before, own, ids), *_other_rules(before, own)]
    if changes and own.changed is ChangedRules.REFUSE:
        raise IdentityError(
            f"{place} was worked on with {', '.join(old for old, _ in changes)}; this worker has"
            f" {', '.join(new for _, new in changes)}. Give all workers of a group the same"
            " settings and topics. To change them, `longtake worker --changed-rules accept` goes on"
            " with its own from here on, and writes that down (docs/operations.md, Change a rule)"
        )
    for old, new in changes:
        log.warning("%s: %s from offset %d on, before %s", place, new, manifest.next_offset, old)
    now = own.begin(manifest.next_offset, ids)
    ended = _ended_rules(before, own)
    same_rules = not _other_rules(before, own) and before.rules.keys() >= own.rules.keys()
    exact = same_rules and before.offset == manifest.next_offset
    topics = {
        role: _followed(place, role, before, topic, manifest.next_offset)
        for role, topic in now.topics.items()
    }
    return MemoryIdentity(
        topics={**before.topics, **topics},
        rules={**{r: v for r, v in before.rules.items() if r not in ended}, **now.rules},
        rules_since=before.rules_since if exact else manifest.next_offset,
        offset=manifest.next_offset,
        unknown=before.unknown,
    )


def _require_frames(
    place: str, before: MemoryIdentity, own: OwnIdentity, ids: Mapping[str, str]
) -> None:
    known, name = before.topics.get(FRAMES), own.topics.get(FRAMES, "")
    if known is None or not known.is_another(name, ids.get(FRAMES, "")):
        return
    way_out = NEW_LIFE.format(to="earliest", group=own.group)
    if known.name != name:
        what, or_else = (
            f"has finished frames of topic {printable(known.name)}, this worker reads {name}",
            "Read the same topic, or give another --group topics of its own",
        )
    else:
        what, or_else = (
            f"has finished frames of another topic {name}: it was deleted and made anew, its id was"
            f" {printable(known.id)} and is {ids.get(FRAMES)} now",
            "Another --group with topics of its own also begins afresh",
        )
    raise IdentityError(
        f"{place} {what}. Offsets, memory and ledger belong to the old one. To go on with the new"
        f" one, {way_out} begins a new life: streams start afresh, `longtake audit` reports the"
        f" lives apart. {or_else}"
    )


def _other_outputs(
    before: MemoryIdentity, own: OwnIdentity, ids: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return other names of topics that are written, and a changelog in another topic."""
    changes = []
    for role, name in own.topics.items():
        known, topic_id = before.topics.get(role), ids.get(role, "")
        if role == FRAMES or known is None or not known.is_another(name, topic_id):
            continue
        if known.name != name:
            changes.append((f"the topic {printable(known.name)} for {role}", name))
        elif role not in ONLY_WRITTEN:
            old = f"the topic {name} with the id {printable(known.id)}"
            changes.append((old, f"a copy with the id {topic_id}"))
    return changes


def _other_rules(before: MemoryIdentity, own: OwnIdentity) -> list[tuple[str, str]]:
    changed = [
        (f"{rule} = {before.rules[rule]:.15g}", f"{rule} = {value:.15g}")
        for rule, value in own.rules.items()
        if rule in before.rules and before.rules[rule] != value
    ]
    ended = [
        (f"{rule} = {before.rules[rule]:.15g}", f"no {rule}") for rule in _ended_rules(before, own)
    ]
    return changed + ended


def _ended_rules(before: MemoryIdentity, own: OwnIdentity) -> list[str]:
    """Return the rules of events that do not apply any more; other rules always apply."""
    return [one for one in before.rules if one.startswith(EVENT_RULES) and one not in own.rules]


def _followed(
    place: str, role: str, before: MemoryIdentity, now: KnownTopic, next_offset: int
) -> KnownTopic:
    """Return a topic as it is now, with where it came to be in the place of another one."""
    known = before.topics.get(role)
    if known is None:
        return now
    if not known.is_another(now.name, now.id):
        return KnownTopic(now.name, now.id or known.id, known.since, known.unknown)
    if known.name == now.name and role in ONLY_WRITTEN:
        log.warning(
            "%s: topic %s was deleted and made anew (its id was %s, and is %s): what was in it is"
            " lost for its readers. Memory goes on at offset %d; `longtake audit` misses what is"
            " gone until `longtake reset partition` begins a new life",
            place,
            now.name,
            printable(known.id),
            now.id,
            next_offset,
        )
    return KnownTopic(now.name, now.id, max(next_offset, 1), known.unknown)
