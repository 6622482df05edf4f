"""What `longtake topics grow` waits for, and what it says meanwhile."""

import time
from collections.abc import Iterable, Sequence

from pipeline.cli.shared.progress import Stages
from pipeline.errors import CannotMoveError
from pipeline.judging.growing import StaleRecord
from pipeline.offline.group_growth import Drained, GroupGrowth, GrowthPlan

LOOK_S = 1.0
GRACE_S = 10.0  # for a record that was on its way when its producer learned of the new partitions
NAMED = 5  # streams that a line names


def drain(
    growth: GroupGrowth, plan: GrowthPlan, stages: Stages, *, metadata_age_s: float, wait_s: float
) -> None:
    """Wait until no moving stream is written or left unread in an old partition.

    Raises `CannotMoveError` if a producer goes on beyond `metadata_age_s`, or after `wait_s`.
    """
    stages.begin(
        "seconds without a frame of a moving stream in old partitions", round(metadata_age_s)
    )
    behind = False
    while not (seen := growth.watch(plan, quiet_s=metadata_age_s)).done:
        _require_news(seen, metadata_age_s=metadata_age_s, wait_s=wait_s)
        if seen.unread and not behind:
            behind = True
            stages.say(f"workers have not read partitions {sorted(seen.unread)} that far yet")
        stages.reach(min(round(seen.quiet_s), round(metadata_age_s)))
        time.sleep(LOOK_S)


def _require_news(seen: Drained, *, metadata_age_s: float, wait_s: float) -> None:
    late_s = seen.watched_s - seen.quiet_s  # when the newest record came
    if seen.stale and late_s > metadata_age_s + GRACE_S:
        raise CannotMoveError(
            f"streams that move are still written to old partitions: {_named(seen.stale.values())}."
            f" Their producers renew their metadata less often than every {metadata_age_s:.0f} s:"
            " restart them, or lower their metadata.max.age.ms (librdkafka:"
            " topic.metadata.refresh.interval.ms), or raise --metadata-age; then run this command"
            " again. Nothing is lost"
        )
    if seen.watched_s > wait_s:
        raise CannotMoveError(
            f"after {wait_s:.0f} s partitions {sorted(seen.unread)} are not read: are the workers"
            " running? Run this command again. Nothing is lost"
        )


def _named(found: Iterable[StaleRecord]) -> str:
    return ", ".join(
        f"{one.stream} (partition {one.partition}, offset {one.offset})"
        for one in list(found)[:NAMED]
    )


def await_stop(growth: GroupGrowth, stages: Stages, *, group: str, wait_s: float) -> None:
    """Wait until the group has no members. Raises `CannotMoveError` after `wait_s`."""
    waited_s, said = 0.0, ""
    while members := growth.members():
        if waited_s > wait_s:
            raise CannotMoveError(
                f"group {group} is at work: {_joined(members)}. Stop these workers and run this"
                " command again. Nothing is lost"
            )
        text = _joined(members)
        if text != said:
            said = text
            stages.say(f"stop the workers of group {group} now: {text}")
        time.sleep(LOOK_S)
        waited_s += LOOK_S


def _joined(members: Sequence[str]) -> str:
    return ", ".join(members)
