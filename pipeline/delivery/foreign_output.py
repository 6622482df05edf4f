"""The refusal of an output topic that belongs to another group, with the lines to type."""

from collections.abc import Mapping

from pipeline.broker.owners import UNREADABLE
from pipeline.errors import ForeignOutputError
from pipeline.records import Destination, Topics
from pipeline.text.printable import printable

SETTINGS = {
    Destination.PREDICTIONS: ("predictions-topic", "predictions"),
    Destination.EVENTS: ("events-topic", "events"),
    Destination.DEAD_LETTERS: ("dead-letters-topic", "dlq"),
}
"""The option that names each output topic, and how a topic of a group's own is called."""

NAMELESS = ""
"""Stands for the group of records that name none: those of an earlier release have no name."""


def refusal(
    topics: Topics, group: str, foreign: Mapping[Destination, str | None]
) -> ForeignOutputError:
    """Return the error for output topics of other groups, with the ways out.

    `foreign` has the groups, or `NAMELESS`.
    """
    whose = "; ".join(
        f"topic {topics.of(kind)} {_belongs(owner)}" for kind, owner in foreign.items()
    )
    own = " ".join(
        f"--{option} {_own_name(group, name, topics.of(kind))}"
        for kind, (option, name) in SETTINGS.items()
        if kind in foreign
    )
    over = (
        "nobody publishes there any more, or what is there is of this group"
        if set(foreign.values()) == {NAMELESS}
        else "the other group was renamed or has ended for good"
    )
    return ForeignOutputError(
        f"{whose}. Readers would take it and group {group} for one. Give group {group} topics of"
        f" its own, in every command:\n"
        f"longtake topics create --group {group} {own}\n"
        f"longtake worker --group {group} {own}\n"
        f"Or, if {over}:\n"
        f"longtake topics take --group {group}"
    )


def _own_name(group: str, name: str, taken: str) -> str:
    own = f"{group}.{name}"
    return own if own != taken else f"{group}.new.{name}"


def _belongs(owner: str | None) -> str:
    if owner == NAMELESS:
        return (
            "holds what an earlier release, or another program, has published without the name of a"
            " group"
        )
    if owner == UNREADABLE:
        return "has a claim of a newer release, or of another program"
    return f"belongs to group {printable(owner or '')}"
