"""Says in words to which topics and rules a group's memory and ledger belong, if not to today's."""

from collections.abc import Iterator, Mapping

from pipeline.records import FRAMES, Destination
from pipeline.text.printable import printable
from pipeline.wire.belongings.identity import MemoryIdentity
from pipeline.wire.changelog import Manifest


def other_topics(
    identity: MemoryIdentity, ids: Mapping[str, str], names: Mapping[str, str]
) -> Iterator[str]:
    """Yield a sentence for each topic that is another one than that of the ledger.

    `ids` and `names` are those of today's topics, by role.
    """
    for role, known in identity.topics.items():
        name = names.get(role, known.name)
        if not known.is_another(name, ids.get(role, "")):
            continue
        if known.name != name:
            yield f"the ledger is of topic {printable(known.name)}, and {name} is looked at"
            continue
        lost = {
            FRAMES: "its records have no fate",
            Destination.PREDICTIONS: "earlier predictions are gone",
            Destination.DEAD_LETTERS: "earlier dead letters are gone",
        }.get(role, "this is a copy")
        yield (
            f"topic {name} was deleted and made anew: the ledger is of the one with the id"
            f" {printable(known.id)}, now there is {ids.get(role)}; {lost}"
        )


def replaced(identity: MemoryIdentity, role: str) -> str:
    """Return the end of a sentence about what a topic does not hold; empty if it was always it."""
    if not identity.remade(role):
        return ""
    since = identity.topics[role].since
    return f"; its topic took the place of another one when the group was at offset {since}"


def rule_notes(manifests: Mapping[int, Manifest]) -> list[str]:
    """Return notes on rules that changed within a life, and on partitions with different ones."""
    notes = []
    for number, manifest in sorted(manifests.items()):
        since = manifest.identity.rules_since
        if manifest.identity.rules and since > manifest.first_offset:
            notes.append(
                f"partition {number}: other rules, or rules that are not known, decided the frames"
                f" before offset {since}"
            )
    values: dict[str, dict[float, list[int]]] = {}
    for number, manifest in sorted(manifests.items()):
        for rule, value in manifest.identity.rules.items():
            values.setdefault(rule, {}).setdefault(value, []).append(number)
    for rule, partitions in values.items():
        if len(partitions) > 1:
            where = (f"{value:.15g} in {numbers}" for value, numbers in partitions.items())
            notes.append(f"the partitions have different rules: {rule} is {', '.join(where)}")
    return notes


def other_rules(manifest: Manifest, rules: Mapping[str, float]) -> list[str]:
    """Return the rules by which the group decided and these do not, in words."""
    decided = manifest.identity.rules
    return [
        f"{rule} = {decided[rule]:.15g}, not {value:.15g}"
        for rule, value in rules.items()
        if rule in decided and decided[rule] != value
    ]
