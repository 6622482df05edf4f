"""Looks up and changes which group the output topics of a group belong to."""

from contextlib import closing
from dataclasses import replace

from pipeline.broker.kafka.broker import KafkaBroker
from pipeline.broker.kafka.group import KafkaGroup
from pipeline.broker.owners import UNREADABLE, Owners
from pipeline.clock import Clock
from pipeline.connection import GroupSettings
from pipeline.delivery.foreign_output import refusal
from pipeline.errors import ForeignOutputError


def owners_of(settings: GroupSettings, *, clock: Clock) -> Owners:
    """Return whom the output topics of a group belong to. Raises what `TopicOwners` raises."""
    with closing(KafkaBroker(settings, clock=clock).owners()) as owners:
        return owners.read()


def foreign_outputs(settings: GroupSettings, owners: Owners) -> ForeignOutputError | None:
    """Return the error of a worker that would publish into them; None if it may."""
    foreign = {kind: one for kind, one in owners.items() if one not in (None, settings.group)}
    return refusal(settings.topics, settings.group, foreign) if foreign else None


def take_outputs(settings: GroupSettings, seen: Owners, *, clock: Clock) -> None:
    """Let the output topics belong to this group, though others own them as `seen`.

    Raises `CannotMoveError` if workers of such a group are at work, and `ForeignOutputError` if
    another one has claimed a topic meanwhile.
    """
    for former in {*seen.values()} - {None, UNREADABLE, settings.group}:
        KafkaGroup(replace(settings, group=str(former)), clock=clock).require_empty()
    with closing(KafkaBroker(settings, clock=clock).owners()) as owners:
        wrong = foreign_outputs(settings, owners.claim(settings.group, seen))
    if wrong is not None:
        raise wrong
