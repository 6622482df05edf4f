"""`longtake topics`: what is made, and what is said of it."""

from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from pipeline.local.cluster import LocalKafka
from tests.cli.commands import Group, Longtake, Start, until
from tests.pipeline.pictures import jpeg

pytestmark = pytest.mark.kafka

ROLES = ("frames", "predictions", "dlq", "state", "cameras")


def settings(tmp_path: Path, bootstrap: str, prefix: str) -> Path:
    path = tmp_path / "l.toml"
    path.write_text(
        f'bootstrap = "{bootstrap}"\ngroup = "{prefix}"\nframes_topic = "{prefix}.frames"\n'
        f'predictions_topic = "{prefix}.predictions"\ndead_letters_topic = "{prefix}.dlq"\n'
        f'cameras_topic = "{prefix}.cameras"\n',
        "utf-8",
    )
    return path


@pytest.fixture
def file(kafka: LocalKafka, tmp_path: Path) -> Path:
    """Settings of a group without any topic."""
    return settings(tmp_path, kafka.bootstrap, f"made-{abs(hash(tmp_path)) % 10**9}")


def alter(group: Group, topic: str, **values: str) -> None:
    settings = {name.replace("_", "."): value for name, value in values.items()}
    admin = KafkaAdminClient(bootstrap_servers=group.cluster.config.bootstrap)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic)]

    def applied() -> bool:
        found = admin.describe_configs(asked)["topic"][topic]
        return settings.items() <= {name: one["value"] for name, one in found.items()}.items()

    until(applied, f"{settings} of {topic}")
    admin.close()


def test_create_makes_what_is_missing_and_check_finds_it(longtake: Longtake, file: Path) -> None:
    missing = longtake("topics", "check", "--config", file, "--json")
    assert missing.code == 11
    assert all("is missing" in topic["problem"] for topic in missing.json["topics"])
    assert "(--group made-" in missing.complaint
    made = longtake("topics", "create", "--config", file, "--partitions", "3", "--json")
    assert [t["name"].rpartition(".")[2] for t in made.json["topics"]] == list(ROLES)
    assert [t["partitions"] for t in made.json["topics"]] == [3, 3, 3, 3, 1]
    assert all(t["created"] for t in made.json["topics"])
    found = longtake("topics", "check", "--config", file, "--json")
    assert (found.code, [t["problem"] for t in found.json["topics"]]) == (0, [None] * 5)
    again = longtake("topics", "create", "--config", file, "--json")
    assert (again.code, [t["created"] for t in again.json["topics"]]) == (0, [False] * 5)


def test_the_topic_of_dead_letters_is_made_with_an_end(
    kafka: LocalKafka, longtake: Longtake, file: Path
) -> None:
    made = longtake("topics", "create", "--config", file, "--json")
    topic = next(t["name"] for t in made.json["topics"] if t["role"] == "dead_letters")
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    wanted = ("retention.bytes", "retention.ms")
    described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    admin.close()
    limits = [described["topic"][topic][name]["value"] for name in wanted]
    assert limits == [str(1 << 30), str(7 * 24 * 3600 * 1000)]


def test_create_keeps_frames_for_as_long_as_asked(longtake: Longtake, file: Path) -> None:
    how = ("--retention", "10d", "--replication-factor", "1")
    made = longtake("topics", "create", "--config", file, *how)
    frames, predictions = [line for line in made.out.splitlines() if "10d" in line]
    assert (made.code, "created" in frames, "created" in predictions) == (0, True, True)


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        (("--retention", "soon"), 2, "wanted a number and s, m, h, d or w"),
        (("--replication-factor", "3"), 2, "--replication-factor 3: the cluster has 1 brokers"),
    ],
)
def test_create_refuses_what_cannot_be_and_makes_nothing(
    longtake: Longtake, file: Path, how: tuple[str, ...], code: int, words: str
) -> None:
    ended = longtake("topics", "create", "--config", file, *how)
    assert ended.code == code
    assert words in ended.err.replace("\n", " ")
    missing = longtake("topics", "check", "--config", file, "--json").json["topics"]
    assert [topic["partitions"] for topic in missing] == [0] * 5


def test_create_makes_nothing_beside_topics_that_do_not_fit(
    group: Group, longtake: Longtake, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    name = group.cluster.config.group
    other.write_text(group.file.read_text().replace(f'group = "{name}"', f'group = "{name}2"'))
    ended = longtake("topics", "create", "--config", other, "--partitions", "9")
    assert ended.code == 12
    assert f"{group.topics.frames} has 2 partitions" in ended.complaint
    assert "nothing was created. Use --partitions 2" in ended.complaint
    made = longtake("topics", "create", "--config", other, "--json")
    assert [(t["partitions"], t["created"]) for t in made.json["topics"]] == [
        *[(2, False)] * 3,
        (2, True),
        (1, False),
    ]


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("message_timestamp_type", "CreateTime", "one camera with a wrong clock makes the others"),
        ("compression_type", "uncompressed", "makes the broker unpack what producers compress"),
        ("cleanup_policy", "compact", "deletes all frames of a camera but its newest"),
        ("max_message_bytes", "1000000", "larger frames are refused by the broker"),
        ("retention_ms", "600000", "deletes frames after 10 min"),
        ("min_insync_replicas", "2", "is more than its 1 copies: no write is accepted"),
        ("unclean_leader_election_enable", "true", "lets a broker lead that lacks committed"),
    ],
)
def test_a_setting_that_endangers_frames_is_named_with_the_command_that_mends_it(
    group: Group, longtake: Longtake, setting: str, value: str, words: str
) -> None:
    alter(group, group.topics.frames, **{setting: value})
    found = longtake("topics", "check", "--config", group.file, "--json")
    frames, *others = found.json["topics"]
    name = setting.replace("_", ".")
    assert (found.code, frames["problem"]) == (12, None)
    assert f"{name}={value}" in frames["danger"]
    assert words in frames["danger"]
    assert f"--entity-name {group.topics.frames} --add-config {name}=" in "".join(frames["mend"])
    assert [topic["danger"] for topic in others] == [None] * 4
    assert f"(--group {group.cluster.config.group})" in found.complaint


def test_predictions_that_are_deleted_before_their_frames_are_a_danger(
    group: Group, longtake: Longtake
) -> None:
    alter(group, group.topics.predictions, retention_ms="7200000")
    ended = longtake("topics", "check", "--config", group.file)
    assert ended.code == 12
    assert "is shorter than that of frames" in ended.complaint
    assert "--add-config retention.ms=21600000" in ended.out


def test_a_worker_says_what_endangers_its_frames_and_goes_on(group: Group, start: Start) -> None:
    alter(group, group.topics.frames, message_timestamp_type="CreateTime")
    worker = start("worker", "--config", group.file).ready()
    assert "message.timestamp.type=CreateTime lets every producer date its records" in worker.log
    group.cluster.publish(0, b"cam-1", jpeg(16, 16, seed=1))
    worker.says(r"broker\.kafka\.consumer: topic \S+: message\.timestamp\.type=CreateTime")


def test_everything_is_permitted_where_there_are_no_acls(group: Group, longtake: Longtake) -> None:
    for command in ("worker", "camera", "topics create"):
        ended = longtake("topics", "check", "--config", group.file, "--as", command, "--json")
        assert ended.code == 0
        assert [one["lacking"] for one in ended.json["privileges"]].count([]) > 0
        assert all(one["lacking"] == [] for one in ended.json["privileges"])


def test_a_command_that_does_not_exist_is_named_with_those_that_do(
    group: Group, longtake: Longtake
) -> None:
    ended = longtake("topics", "check", "--config", group.file, "--as", "king")
    assert ended.code == 2
    assert "known are camera, worker, tail" in ended.err


def test_a_missing_topic_of_cameras_is_named_and_stops_no_worker(
    group: Group, longtake: Longtake, start: Start
) -> None:
    text = group.file.read_text().replace(f'"{group.topics.cameras}"', '"nowhere.cameras"')
    group.file.write_text(text)
    found = longtake("topics", "check", "--config", group.file)
    assert (found.code, "topic nowhere.cameras is missing" in found.complaint) == (11, True)
    worker = start("worker", "--config", group.file).ready()
    assert "nowhere" not in worker.log


def test_without_a_topic_of_cameras_there_is_none_to_check(
    group: Group, longtake: Longtake
) -> None:
    text = group.file.read_text().replace(f'"{group.topics.cameras}"', '""')
    group.file.write_text(text)
    found = longtake("topics", "check", "--config", group.file, "--json")
    assert (found.code, len(found.json["topics"])) == (0, 4)


def test_the_table_names_every_topic(group: Group, longtake: Longtake) -> None:
    ended = longtake("topics", "check", "--config", group.file)
    assert ended.code == 0
    for topic in (group.topics.frames, group.topics.predictions, group.topics.state):
        assert topic in ended.out


def test_every_topic_is_stamped_by_the_log_and_state_is_compacted(group: Group) -> None:
    topics = group.topics
    names = (topics.frames, topics.state, topics.dead_letters, topics.predictions, topics.cameras)
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    admin = KafkaAdminClient(bootstrap_servers=group.cluster.config.bootstrap)
    found = admin.describe_configs(asked)["topic"]
    admin.close()
    frames, state = found[topics.frames], found[topics.state]
    stamps = {settings["message.timestamp.type"]["value"] for settings in found.values()}
    assert stamps == {"LogAppendTime"}
    assert frames["compression.type"]["value"] == "producer"
    compacted = (state, found[topics.cameras])
    assert [one["cleanup.policy"]["value"] for one in compacted] == ["compact"] * 2


def test_a_worker_can_wait_for_topics_that_are_created_while_it_starts(
    longtake: Longtake, start: Start, file: Path
) -> None:
    words = ("worker", "--config", file, "--metrics-port", "0")
    worker = start(*words, "--wait-for-topics", "60")
    worker.says(r"waiting for at most 60 s: topic \S+\.frames is missing")
    assert longtake("topics", "create", "--config", file).code == 0
    worker.ready()
