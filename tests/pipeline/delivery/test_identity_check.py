"""Whether memory belongs to the topics and rules of this worker, and what is written down then."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pipeline.config import ChangedRules, WorkerConfig
from pipeline.delivery.memory_checks.identity_check import OwnIdentity, identify
from pipeline.errors import IdentityError
from pipeline.wire.belongings.identity import KnownTopic, MemoryIdentity
from pipeline.wire.changelog import Manifest
from tests.pipeline.changelogs import manifest

CONFIG = WorkerConfig(group="g")
OWN = OwnIdentity("g", CONFIG.topics.by_role, CONFIG.rules)
ACCEPTING = replace(OWN, changed=ChangedRules.ACCEPT)
IDS = {"frames": "f1", "predictions": "p1", "dead_letters": "d1", "state": "s1"}
BEFORE = OWN.begin(4, IDS).at(10)


def known(identity: MemoryIdentity = BEFORE) -> Manifest:
    return manifest(first_offset=4, next_offset=10, identity=identity)


def found(
    identity: MemoryIdentity = BEFORE, own: OwnIdentity = OWN, ids: Mapping[str, str] = IDS
) -> MemoryIdentity:
    return identify(3, known(identity), own, ids)


def other(**rules: Any) -> OwnIdentity:
    return replace(OWN, rules=CONFIG.rules | rules)


def named(**names: str) -> OwnIdentity:
    return replace(OWN, topics={**OWN.topics, **names})


def test_what_has_not_changed_stays_as_it_is() -> None:
    assert found() == BEFORE


def test_a_topic_of_frames_that_was_made_anew_is_refused_with_both_ids_and_the_way_out() -> None:
    with pytest.raises(IdentityError) as told:
        found(own=ACCEPTING, ids=IDS | {"frames": "f2"})
    text = str(told.value)
    assert "partition 3 of group g has finished frames of another topic frames" in text
    assert "its id was f1 and is f2 now" in text
    assert "`longtake reset partition --every --to earliest --group g`" in text


def test_another_topic_of_frames_is_refused_by_its_name_whatever_is_accepted() -> None:
    own = replace(ACCEPTING, topics=named(frames="other").topics)
    with pytest.raises(IdentityError, match="frames of topic frames, this worker reads other"):
        found(own=own, ids=IDS | {"frames": "x1"})


@pytest.mark.parametrize("rule", CONFIG.rules)
def test_each_rule_that_differs_is_refused_with_both_values(rule: str) -> None:
    with pytest.raises(IdentityError) as told:
        found(own=other(**{rule: 77.0}))
    text = str(told.value)
    assert f"with {rule} = {CONFIG.rules[rule]:.15g}; this worker has {rule} = 77." in text
    assert "--changed-rules accept" in text


def test_rules_that_are_accepted_hold_from_the_next_frame_on() -> None:
    own = replace(other(gap_reset_s=9.0), changed=ChangedRules.ACCEPT)
    now = found(own=own)
    assert (now.rules["gap_reset_s"], now.rules_since) == (9.0, 10)
    assert identify(3, known(now), own, IDS) == now


@pytest.mark.parametrize("role", ["predictions", "dead_letters"])
def test_another_topic_of_output_is_refused_and_can_be_accepted(role: str) -> None:
    own = named(**{role: "elsewhere"})
    ids = IDS | {role: "x1"}
    with pytest.raises(IdentityError, match=f"for {role}; this worker has elsewhere"):
        found(own=own, ids=ids)
    now = found(own=replace(own, changed=ChangedRules.ACCEPT), ids=ids)
    assert now.topics[role] == KnownTopic("elsewhere", "x1", since=10)


@pytest.mark.parametrize("role", ["predictions", "dead_letters"])
def test_outputs_that_were_made_anew_are_reported_and_memory_goes_on(
    role: str, caplog: pytest.LogCaptureFixture
) -> None:
    now = found(ids=IDS | {role: "new"})
    assert now.topics[role] == KnownTopic(OWN.topics[role], "new", since=10)
    assert f"topic {OWN.topics[role]} was deleted and made anew" in caplog.text
    assert now.rules_since == BEFORE.rules_since


def test_a_changelog_in_another_topic_is_a_copy_and_refused() -> None:
    with pytest.raises(IdentityError, match=r"the topic g.state with the id s1; .* id s2"):
        found(ids=IDS | {"state": "s2"})
    assert found(own=ACCEPTING, ids=IDS | {"state": "s2"}).topics["state"].id == "s2"


def test_what_an_older_release_has_not_written_is_filled_in() -> None:
    now = found(MemoryIdentity())
    assert {role: topic.id for role, topic in now.topics.items()} == IDS
    assert (now.rules, now.rules_since, now.offset) == (OWN.rules, 10, 10)


def test_frames_that_an_older_release_has_finished_were_not_decided_by_these_rules() -> None:
    """It writes the field back, and advances the partition by whatever rules it has."""
    assert found(BEFORE.at(7)).rules_since == 10


def test_ids_that_are_not_known_are_not_compared_and_not_forgotten() -> None:
    assert found(ids={}) == BEFORE
    nameless = OWN.begin(4, {}).at(10)
    assert {role: topic.id for role, topic in found(nameless).topics.items()} == IDS


def test_roles_and_rules_of_a_newer_release_are_kept() -> None:
    newer = replace(
        BEFORE,
        topics={**BEFORE.topics, "events": KnownTopic("events", "e1", 0, {"kind": "k"})},
        rules={**BEFORE.rules, "on": 0.5},
        unknown={"zone": 1},
    )
    assert found(newer) == newer
