"""`longtake topics`: what is made, and what is said of it."""

from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from pipeline.broker.kafka.topics import read_setting
from pipeline.local.cluster import LocalKafka
from tests.cli.commands import Group, Longtake, Start

pytestmark = pytest.mark.kafka

ROLES = ("frames", "predictions", "dlq", "state")


def settings(tmp_path: Path, bootstrap: str, prefix: str) -> Path:
    path = tmp_path / "l.toml"
    path.write_text(
        f'bootstrap = "{bootstrap}"\ngroup = "{prefix}"\nframes_topic = "{prefix}.frames"\n'
        f'predictions_topic = "{prefix}.predictions"\ndead_letters_topic = "{prefix}.dlq"\n',
        "utf-8",
    )
    return path


def test_create_makes_what_is_missing_and_check_finds_it(
    kafka: LocalKafka, longtake: Longtake, tmp_path: Path
) -> None:
    file = settings(tmp_path, kafka.bootstrap, f"made-{tmp_path.parent.name}")
    missing = longtake("topics", "check", "--config", file, "--json")
    assert missing.code == 11
    assert all("is missing" in topic["problem"] for topic in missing.json["topics"])
    made = longtake("topics", "create", "--config", file, "--partitions", "3", "--json")
    assert [t["name"].rpartition(".")[2] for t in made.json["topics"]] == list(ROLES)
    assert all((t["partitions"], t["created"]) == (3, True) for t in made.json["topics"])
    found = longtake("topics", "check", "--config", file, "--json")
    assert (found.code, [t["problem"] for t in found.json["topics"]]) == (0, [None] * 4)


def test_the_topic_of_dead_letters_is_made_with_an_end(
    kafka: LocalKafka, longtake: Longtake, tmp_path: Path
) -> None:
    prefix = f"ends-{tmp_path.parent.name}"
    file = settings(tmp_path, kafka.bootstrap, prefix)
    assert longtake("topics", "create", "--config", file, "--json").code == 0
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    wanted = ("retention.bytes", "retention.ms")
    limits = [int(read_setting(admin, f"{prefix}.dlq", name) or -1) for name in wanted]
    admin.close()
    assert limits == [1 << 30, 7 * 24 * 3600 * 1000]


def test_create_leaves_alone_what_is_there(group: Group, longtake: Longtake) -> None:
    ended = longtake("topics", "create", "--config", group.file, "--partitions", "9", "--json")
    assert [(t["partitions"], t["created"]) for t in ended.json["topics"]] == [(2, False)] * 4


def test_a_topic_of_frames_that_the_broker_unpacks_is_a_danger_and_no_problem(
    group: Group, longtake: Longtake, start: Start
) -> None:
    resource = ConfigResource(
        ConfigResourceType.TOPIC, group.topics.frames, {"compression.type": "uncompressed"}
    )
    admin = KafkaAdminClient(bootstrap_servers=group.cluster.config.bootstrap)
    admin.alter_configs([resource])
    admin.close()
    found = longtake("topics", "check", "--config", group.file, "--json")
    frames, *others = found.json["topics"]
    assert (found.code, frames["problem"]) == (0, None)
    assert frames["danger"].startswith("compression.type=uncompressed makes the broker unpack")
    assert [topic["danger"] for topic in others] == [None] * 3
    start("worker", "--config", group.file).ready()


def test_the_table_names_every_topic(group: Group, longtake: Longtake) -> None:
    ended = longtake("topics", "check", "--config", group.file)
    assert ended.code == 0
    for topic in (group.topics.frames, group.topics.predictions, group.topics.state):
        assert topic in ended.out


def test_every_topic_is_stamped_by_the_log_and_state_is_compacted(group: Group) -> None:
    topics = group.topics
    names = (topics.frames, topics.state, topics.dead_letters, topics.predictions)
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    admin = KafkaAdminClient(bootstrap_servers=group.cluster.config.bootstrap)
    found = admin.describe_configs(asked)["topic"]
    admin.close()
    frames, state = found[topics.frames], found[topics.state]
    stamps = {settings["message.timestamp.type"]["value"] for settings in found.values()}
    assert stamps == {"LogAppendTime"}
    assert frames["compression.type"]["value"] == "producer"
    assert state["cleanup.policy"]["value"] == "compact"
