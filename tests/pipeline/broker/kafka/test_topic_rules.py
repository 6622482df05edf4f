"""What can go wrong with topics of clusters that no test here has."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pipeline.broker.kafka.topic_rules import (
    SETTINGS,
    Presence,
    TopicFacts,
    dangers,
    new_settings,
    problem,
)

SOUND = {role: {"min.insync.replicas": "2"} | dict(SETTINGS[role]) for role in SETTINGS}
DAY_MS = 86_400_000


def topics(**changed: Mapping[str, str]) -> dict[str, TopicFacts]:
    """Every topic of three copies with our settings, except for those that are changed."""
    return {
        role: TopicFacts(role, role, Presence.PRESENT, 4, 3, {**settings, **changed.get(role, {})})
        for role, settings in SOUND.items()
    }


def remarks(role: str, *, replicas: int = 3, brokers: int = 3, **settings: str) -> list[str]:
    changed = {name.replace("_", "."): value for name, value in settings.items()}
    found = topics(**{role: changed})
    topic = replace(found[role], replicas=replicas)
    return [one.text for one in dangers(topic, found, brokers)]


@pytest.mark.parametrize("role", SETTINGS)
def test_our_own_settings_are_no_danger(role: str) -> None:
    assert remarks(role) == []


@pytest.mark.parametrize(
    ("synced", "replicas", "words"),
    [
        ("3", 2, "is more than its 2 copies"),
        ("3", 3, "while one broker restarts nothing can be written"),
        ("1", 3, "acknowledges what is on one broker alone"),
    ],
)
def test_copies_that_lose_or_stop_writes_are_named(synced: str, replicas: int, words: str) -> None:
    (remark,) = remarks("state", replicas=replicas, min_insync_replicas=synced)
    assert words in remark


def test_one_copy_is_a_danger_only_where_there_could_be_more() -> None:
    assert remarks("state", replicas=1, brokers=1, min_insync_replicas="1") == []
    (remark,) = remarks("state", replicas=1, brokers=3, min_insync_replicas="1")
    assert "has one copy, though there are 3 brokers" in remark


def test_a_topic_whose_settings_are_not_known_has_no_danger() -> None:
    found = topics()
    assert dangers(replace(found["frames"], settings=None), found, 3) == []


def test_predictions_and_dead_letters_are_not_to_be_compacted() -> None:
    for role in ("predictions", "dead_letters"):
        (remark,) = remarks(role, cleanup_policy="compact,delete")
        assert "cleanup.policy=compact deletes" in remark


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"message_timestamp_type": "CreateTime"}, "wrong clock seems to be gone"),
        ({"cleanup_policy": "delete"}, "the last state of a camera that stopped is lost"),
    ],
)
def test_a_topic_of_cameras_with_other_settings_is_a_danger(
    setting: dict[str, str], words: str
) -> None:
    (remark,) = remarks("cameras", **setting)  # type: ignore[arg-type]  # settings alone
    assert words in remark


def test_a_topic_of_cameras_may_have_any_number_of_partitions() -> None:
    found = topics()
    assert problem(replace(found["cameras"], partitions=1), found["frames"]) is None


@pytest.mark.parametrize("role", ["state", "predictions"])
def test_fewer_partitions_than_frames_stop_workers_and_more_are_a_growth_that_waits(
    role: str,
) -> None:
    found = topics()
    fewer, more = (replace(found[role], partitions=count) for count in (3, 8))
    assert "`longtake topics grow --partitions 4`" in str(problem(fewer, found["frames"]))
    assert problem(more, found["frames"]) is None
    (remark,) = dangers(more, found, 3)
    assert "has 8 partitions: more than frames" in remark.text


def test_state_that_is_deleted_too_is_a_problem() -> None:
    found = topics(state={"cleanup.policy": "compact,delete"})
    assert "is not compacted" in str(problem(found["state"], found["frames"]))


def test_frames_that_are_kept_long_keep_their_predictions_as_long() -> None:
    kept = [new_settings(role, 3, 30 * DAY_MS).get("retention.ms") for role in SETTINGS]
    long = str(30 * DAY_MS)
    assert kept == [long, long, long, str(7 * DAY_MS), None, None]
    assert new_settings("state", 3, None)["min.insync.replicas"] == "2"
