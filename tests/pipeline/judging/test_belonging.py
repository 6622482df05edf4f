"""What is said of a ledger that belongs to other topics or other rules than there are."""

from dataclasses import replace

from pipeline.judging.belonging import other_rules, other_topics, replaced, rule_notes
from pipeline.wire.belongings.identity import KnownTopic, MemoryIdentity
from tests.pipeline.changelogs import manifest

TOPICS = {
    "frames": KnownTopic("frames", "f1"),
    "predictions": KnownTopic("predictions", "p1", since=6),
    "state": KnownTopic("g.state", "s1"),
}
KNOWN = MemoryIdentity(TOPICS, {"gap_reset_s": 0.05, "max_streams": 10_000.0}, 4, 10)
IDS = {role: topic.id for role, topic in TOPICS.items()}


def test_a_ledger_of_todays_topics_needs_no_word() -> None:
    assert list(other_topics(KNOWN, IDS, {})) == []
    assert list(other_topics(KNOWN, {}, {})) == []


def test_each_topic_that_was_made_anew_is_named_with_both_ids() -> None:
    (frames, predictions) = other_topics(KNOWN, IDS | {"frames": "f2", "predictions": "p2"}, {})
    assert "topic frames was deleted and made anew" in frames
    assert "f1, now there is f2; its records have no fate" in frames
    assert "p1, now there is p2; earlier predictions are gone" in predictions


def test_a_topic_of_another_name_was_not_made_anew() -> None:
    (only,) = other_topics(KNOWN, IDS | {"predictions": "x1"}, {"predictions": "elsewhere"})
    assert only == "the ledger is of topic predictions, and elsewhere is looked at"


def test_a_topic_that_took_the_place_of_another_says_since_when() -> None:
    assert "at offset 6" in replaced(KNOWN, "predictions")
    assert replaced(KNOWN, "dead_letters") == replaced(KNOWN, "frames") == ""


def test_rules_that_changed_within_a_life_are_noted_with_the_offset() -> None:
    changed = manifest(first_offset=2, next_offset=10, identity=KNOWN)
    (note,) = rule_notes({3: changed})
    assert note.startswith("partition 3: ")
    assert note.endswith("before offset 4")
    assert rule_notes({3: replace(changed, first_offset=4)}) == []
    assert rule_notes({3: replace(changed, identity=MemoryIdentity())}) == []


def test_partitions_with_different_rules_are_noted() -> None:
    one = manifest(first_offset=4, next_offset=10, identity=KNOWN)
    two = replace(one, identity=replace(KNOWN, rules={**KNOWN.rules, "gap_reset_s": 2.0}))
    (note,) = rule_notes({0: one, 1: two, 2: one})
    assert note.endswith("gap_reset_s is 0.05 in [0, 2], 2 in [1]")


def test_rules_that_a_replay_has_otherwise_are_named_with_both_values() -> None:
    found = other_rules(
        manifest(identity=KNOWN), {"gap_reset_s": 2.0, "max_streams": 10_000.0, "new": 1.0}
    )
    assert found == ["gap_reset_s = 0.05, not 2"]
