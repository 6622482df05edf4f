"""Topics made anew, a lost changelog, other rules: a worker stops, and never in silence."""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from engines.model.bundle import Bundle
from pipeline.config import WorkerConfig
from pipeline.delivery.short_logs import PATIENCE_S
from pipeline.delivery.topic_watch import LOOK_S
from pipeline.errors import IdentityError
from pipeline.judging.audit import Audit, AuditReport
from pipeline.judging.moving import Move, move
from pipeline.records import Changelog, Destination, Outgoing
from pipeline.wire.changelog import Manifest
from tests.properties.worlds import film, make_world
from tests.world import KINDS, TOPICS, World


def restart(world: World, **settings: Any) -> None:
    world.crash("one")
    world.bury()
    world.config = WorkerConfig(**world.config.model_dump() | settings)
    world.launch("one")


def run(world: World, seconds: float) -> None:
    """Let all workers run for so long."""
    end_s = world.clock.monotonic() + seconds
    while world.clock.monotonic() < end_s:
        for slot in list(world.processes):
            world.turn(slot)
            for kind in KINDS:
                world.work_off(slot, kind)


def changelog(world: World) -> Changelog:
    found = world.log.changelog(0)
    assert found is not None
    return found


def known(world: World) -> Manifest:
    return Manifest.read(changelog(world).records[b"m"])


def begin_a_life(world: World, target: int) -> None:
    """What `longtake reset partition` does, with all workers stopped."""
    world.crash("one")
    world.bury()
    end = len(world.log.read_committed(TOPICS.predictions))
    to = Move(0, target, end + 100, {}, topics=world.config.topics.by_role)  # markers count too
    for out in move(changelog(world), to, now_s=0.0).parts[0].outgoing:
        world.log.write_through(out)


def audit(world: World) -> AuditReport:
    judged = Audit(
        {0: changelog(world)},
        group=world.config.group,
        frames_topic=TOPICS.frames,
        predictions_start={0: 0},
        dead_letters_start={0: 0},
        names=TOPICS.by_role | {"state": world.config.topics.state},
        repeats_allowed=False,
    )
    for record in world.log.read_committed(TOPICS.predictions):
        judged.enter_prediction(record)
    return judged.report()


def kinds(report: AuditReport) -> list[str]:
    return [finding.kind for life in report.lives for finding in life.findings]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


# ------------------------------------------------------------------------------------ frames anew


def test_topics_and_rules_are_in_the_first_manifest_and_stay_there(world: World) -> None:
    identity = known(world).identity
    assert {role: one.id for role, one in identity.topics.items()} == world.log.topic_ids()
    assert identity.rules == world.config.rules
    assert (identity.rules_since, identity.offset) == (0, 6)


def test_frames_made_anew_while_no_worker_ran_stop_the_next_one(world: World) -> None:
    world.crash("one")
    world.log.make_anew(TOPICS.frames)
    film(world, 9)
    restart(world)
    with pytest.raises(IdentityError, match="deleted and made anew"):
        run(world, 10)
    assert kinds(audit(world)) == ["topic"]


@pytest.mark.parametrize("count", [2, 9])
def test_frames_made_anew_under_a_running_worker_stop_it_soon_and_with_few_words(
    world: World, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    """Whether the new log is shorter or longer than the old one was."""
    world.log.make_anew(TOPICS.frames)
    film(world, count)
    with pytest.raises(IdentityError, match="deleted and made anew"):
        run(world, 3 * LOOK_S)
    assert len(warnings(caplog)) <= 2


def test_a_new_life_finishes_all_frames_of_the_new_topic(world: World) -> None:
    world.log.make_anew(TOPICS.frames)
    begin_a_life(world, 0)
    film(world, 9)
    world.launch("one")
    world.settle()
    said = [json.loads(value) for value in world.predictions()["a"]]
    assert [one["source"]["offset"] for one in said[6:]] == list(range(9))
    assert said[6]["memory"]["reset"] == "new"
    assert known(world).life == 2


# ------------------------------------------------------------------------------- a log too short


def test_the_same_topic_that_looks_shorter_is_waited_for(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker was killed, and the leader that took over is behind."""
    world.crash("one")
    frames = world.log.truncate(0, 4)
    restart(world)
    run(world, PATIENCE_S - 10)
    assert not world.processes["one"].worker.ready
    assert len([w for w in warnings(caplog) if "ends at offset 4" in w]) <= 4
    world.log.extend(0, frames)
    film(world, 1, first=6)
    world.settle()
    assert len(world.predictions()["a"]) == 7


def test_a_log_that_stays_too_short_ends_the_worker(world: World) -> None:
    world.crash("one")
    world.log.truncate(0, 4)
    restart(world)
    with pytest.raises(IdentityError, match="it has lost its end"):
        run(world, PATIENCE_S + 5)


# ----------------------------------------------------------------------------- a changelog is lost


def test_a_lost_changelog_is_no_new_group(world: World) -> None:
    world.crash("one")
    world.log.make_anew(TOPICS.state)
    film(world, 3, first=6)
    restart(world)
    with pytest.raises(IdentityError, match=r"has committed its offset 6: the changelog is lost"):
        run(world, 10)


@pytest.mark.parametrize("gone", [(TOPICS.state,), (TOPICS.state, TOPICS.frames)])
def test_nor_is_it_when_the_offsets_are_gone_too_and_predictions_are_left(
    world: World, gone: tuple[str, ...]
) -> None:
    world.crash("one")
    for topic in gone:
        world.log.make_anew(topic)
    world.log.committed_offsets = {}
    film(world, 3, first=6)
    restart(world)
    with pytest.raises(IdentityError, match=r"published predictions up to its offset 6: the chan"):
        run(world, 10)
    assert len(world.predictions()["a"]) == 6


def test_topics_that_are_all_made_anew_are_a_new_group(world: World) -> None:
    world.crash("one")
    for topic in (TOPICS.frames, TOPICS.predictions, TOPICS.dead_letters, TOPICS.state):
        world.log.make_anew(topic)
    film(world, 3)
    restart(world)
    world.settle()
    assert len(world.predictions()["a"]) == 3


def test_after_a_lost_changelog_a_new_life_begins_where_the_group_was(world: World) -> None:
    world.crash("one")
    world.log.make_anew(TOPICS.state)
    begin_a_life(world, 6)
    film(world, 3, first=6)
    world.launch("one")
    world.settle()
    said = [json.loads(value) for value in world.predictions()["a"]]
    assert [one["source"]["offset"] for one in said] == list(range(9))
    assert (known(world).life, known(world).first_offset) == (2, 6)


def test_predictions_that_no_ledger_knows_are_a_break(world: World) -> None:
    """What a worker of the release before leaves behind after a lost changelog."""
    world.crash("one")
    world.log.make_anew(TOPICS.state)
    begun = replace(Manifest.beginning(6, bundle="b", partitions=1), checkpoint=0)
    world.log.write_through(begun.write(0))
    report = audit(world)
    assert (kinds(report), report.lives[0].older) == (["older"], 6)


# ------------------------------------------------------------------------------------- outputs anew


def test_predictions_made_anew_cost_no_memory_and_are_missed_by_the_audit(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.log.make_anew(TOPICS.predictions)
    run(world, 3 * LOOK_S)
    film(world, 1, first=6)
    world.settle()
    (only,) = [json.loads(value) for value in world.predictions()["a"]]
    assert (only["memory"]["frames"], only["memory"]["reset"]) == (6, None)
    assert "made anew" in caplog.text
    findings = [finding for life in audit(world).lives for finding in life.findings]
    assert any("took the place of another one when the group was at" in f.message for f in findings)


# -------------------------------------------------------------------------------------------- rules


def test_other_rules_stop_a_worker(world: World) -> None:
    restart(world, gap_reset_s=0.05)
    with pytest.raises(
        IdentityError, match=r"gap_reset_s = 2; this worker has gap_reset_s = 0\.05"
    ):
        run(world, 10)


def test_rules_that_are_accepted_are_written_down_with_where_they_begin(world: World) -> None:
    restart(world, gap_reset_s=0.05, changed_rules="accept")
    film(world, 1, first=6)
    world.settle()
    identity = known(world).identity
    assert (identity.rules["gap_reset_s"], identity.rules_since) == (0.05, 6)
    report = audit(world)
    assert (report.breaks, len(report.notes)) == (0, 1)
    assert "before offset 6" in report.notes[0]


def test_in_a_rolling_restart_old_and_new_rules_work_in_one_group(bundle: Bundle) -> None:
    world = make_world(bundle, changed_rules="accept")
    since = []
    for count, (slot, gap_s) in enumerate((("old", 2.0), ("new", 9.0), ("old", 2.0))):
        world.config = WorkerConfig(**world.config.model_dump() | {"gap_reset_s": gap_s})
        world.launch(slot)
        world.settle()
        film(world, 3, first=3 * count)
        world.settle()
        since.append(
            (known(world).identity.rules["gap_reset_s"], known(world).identity.rules_since)
        )
        world.crash(slot)
        world.bury()
    assert since == [(2.0, 0), (9.0, 3), (2.0, 6)]
    said = [json.loads(value) for value in world.predictions()["a"]]
    assert [one["memory"]["frames"] for one in said] == list(range(9))


# --------------------------------------------------------------------------- the release before


def test_what_the_release_before_has_written_is_read_and_filled_in(world: World) -> None:
    world.crash("one")
    record = changelog(world).records[b"m"]
    content = json.loads(record.value or b"")
    del content["identity"]
    world.log.write_through(Outgoing(Destination.STATE, 0, b"m", json.dumps(content).encode()))
    assert not known(world).identity
    restart(world)
    film(world, 1, first=6)
    world.settle()
    assert known(world).identity.rules_since == 6
    assert known(world).identity.topics["frames"].id == world.log.topic_ids()["frames"]
    assert len(world.predictions()["a"]) == 7
