"""`longtake replay`: what the group should have published, and whether it did, on a real Kafka."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from kafka import KafkaProducer

from tests.cli.commands import Group, Longtake, Start, write_settings
from tests.engines.bundles import write_tiny
from tests.pipeline.pictures import jpeg

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

START_MS = 1_700_000_000_000
STREAMS = [f"cam-{n}" for n in range(4)]


class Cameras:
    """Four streams over two partitions; every tenth round comes after a gap."""

    def __init__(self, group: Group) -> None:
        self._cluster = group.cluster
        self._round = 0
        self._ms = START_MS

    def film(self, rounds: int) -> None:
        for _ in range(rounds):
            self._ms += 5000 if self._round % 10 == 9 else 100
            for n, stream in enumerate(STREAMS):
                headers = (("seq", b"%d" % self._round), ("captured-at", b"%d" % self._ms))
                picture = jpeg(16, 16, seed=self._round * 31 + n)
                self._cluster.publish(n % 2, stream.encode(), picture, headers)
            self._round += 1

    @property
    def filmed(self) -> int:
        return self._round * len(STREAMS)


@pytest.fixture
def busy(group: Group, start: Start) -> Group:
    """A group whose two workers have predicted 160 frames; one of them was killed in between."""
    cameras = Cameras(group)
    hasty = {"session_timeout_s": 3, "heartbeat_s": 0.3, "transaction_timeout_s": 1.5}
    write_settings(group.file, group.cluster, bundle=bundle_of(group), **hasty)
    workers = [start("worker", "--config", group.file).ready() for _ in range(2)]
    cameras.film(15)
    group.flowing(group.topics.predictions, 20)
    cameras.film(5)
    workers[0].end(signal.SIGKILL)
    cameras.film(20)
    group.predictions(cameras.filmed)
    return group


@pytest.fixture
def worked(group: Group, start: Start) -> Group:
    """A group whose worker has predicted 80 frames and gone: 40 of each partition."""
    cameras = Cameras(group)
    cameras.film(20)
    worker = start("worker", "--config", group.file)
    group.predictions(cameras.filmed)
    worker.end(signal.SIGTERM)
    return group


def bundle_of(group: Group) -> str:
    lines = group.file.read_text("utf-8").splitlines()
    written = next(line.split(" = ")[1] for line in lines if line.startswith("bundle"))
    return str(json.loads(written))


@pytest.fixture
def forger(group: Group) -> Iterator[KafkaProducer]:
    producer = KafkaProducer(bootstrap_servers=group.cluster.config.bootstrap)
    yield producer
    producer.close(timeout=2)


def forge(group: Group, producer: KafkaProducer, **changes: Any) -> None:
    """Publish another prediction of the newest record, or of none."""
    newest = group.cluster.committed(group.topics.predictions)[-1]
    content = json.loads(newest.value or b"") | changes
    value = json.dumps(content, separators=(",", ":")).encode()
    producer.send(
        group.topics.predictions, value=value, key=newest.key, partition=newest.partition
    ).get(10)


def test_a_group_that_lost_a_worker_published_what_its_replay_says(
    busy: Group, longtake: Longtake, tmp_path: Path
) -> None:
    ended = longtake("replay", "--config", busy.file, "--diff", "--json", "--output", "again.jsonl")
    assert ended.code == 0, ended.err
    facts = ended.json
    counts = facts["diff"]["counts"]
    assert (counts["replayed"], counts["published"], counts["same"]) == (160, 160, 160)
    wrong = ("differing", "only_replayed", "only_published", "repeated", "not_compared")
    assert [counts[name] for name in wrong] == [0] * 5
    assert facts["diff"]["labels_agree_percent"] == 100
    assert (facts["fates"], facts["notes"]) == ({"predicted": 160}, [])
    published = busy.cluster.committed(busy.topics.predictions)
    lines = (tmp_path / "again.jsonl").read_bytes().splitlines()
    assert lines == [record.value for record in published]

    # people are told the same
    shown = longtake("replay", "--config", busy.file, "--diff")
    assert (shown.code, shown.out.splitlines()[-1]) == (0, "no difference")
    assert "160 of 160 records" in shown.err


def test_predictions_go_to_standard_output_and_partitions_can_be_chosen(
    worked: Group, longtake: Longtake
) -> None:
    ended = longtake("replay", "--config", worked.file, "--partition", "1", "--to", "10")
    assert ended.code == 0
    assert [line["source"] for line in ended.lines] == [
        {"partition": 1, "offset": n} for n in range(10)
    ]
    assert "10 predictions of 10 records" in ended.err


@pytest.mark.slow
def test_from_the_middle_streams_are_compared_from_their_next_reset_on(
    worked: Group, longtake: Longtake
) -> None:
    ended = longtake("replay", "--config", worked.file, "--from", "10", "--diff", "--json")
    assert ended.code == 0, ended.err
    counts = ended.json["diff"]["counts"]
    # offset 10 is round 5: rounds 5 to 8 of four streams come before the gap of round 9
    assert (counts["not_compared"], counts["same_but_chain"]) == (16, 44)
    assert "the group began at offset 0, this begins at 10" in ended.err


@pytest.mark.slow
def test_what_retention_has_deleted_is_said_and_the_rest_is_compared(
    worked: Group, longtake: Longtake
) -> None:
    worked.cluster.expire(0, 10)
    ended = longtake("replay", "--config", worked.file, "--diff", "--json")
    assert ended.code == 0, ended.err
    assert "partition 0: the log no longer holds offsets 0 to 9 (retention)" in ended.err
    assert ended.json["diff"]["counts"]["same"] == 40
    assert [p["exact"] for p in ended.json["partitions"]] == [False, True]


def test_a_forged_prediction_does_not_pass(
    worked: Group, longtake: Longtake, forger: KafkaProducer
) -> None:
    forge(worked, forger, label="nonsense")
    ended = longtake("replay", "--config", worked.file, "--diff", "--json")
    assert ended.code == 1
    assert ended.json["diff"]["counts"]["repeated"] == 1
    assert not ended.json["diff"]["agrees"]
    assert longtake("replay", "--config", worked.file, "--diff", "--partition", "0").code == 0


@pytest.mark.slow
def test_another_bundle_may_differ_and_its_labels_are_compared(
    worked: Group, longtake: Longtake, tmp_path: Path
) -> None:
    other = write_tiny(tmp_path / "other", name="other", seed=7)
    ended = longtake("replay", "--config", worked.file, "--bundle", other, "--diff", "--json")
    assert ended.code == 0, ended.err
    assert "the group runs bundle" in ended.err
    found = ended.json["diff"]
    assert (found["same_bundle"], found["counts"]["differing"]) == (False, 80)
    assert 0 <= found["labels_agree_percent"] < 100
    assert found["mean_score_difference"] > 0
    assert {d["field"] for d in found["first_differences"]} == {"label"}


@pytest.mark.slow
def test_other_rules_than_the_workers_had_are_found_out(worked: Group, longtake: Longtake) -> None:
    longer = write_settings(
        worked.file.with_name("l.toml"), worked.cluster, bundle=bundle_of(worked), gap_reset_s=60
    )
    ended = longtake("replay", "--config", longer, "--diff")
    assert ended.code == 1
    assert "memory.frames" in ended.out
    assert ended.out.splitlines()[-1] == "they differ"


@pytest.mark.slow
def test_transactional_frames_leave_holes_that_are_no_end(
    group: Group, longtake: Longtake, start: Start
) -> None:
    producer = KafkaProducer(
        bootstrap_servers=group.cluster.config.bootstrap, transactional_id=f"{group.file}"
    )
    producer.init_transactions()
    for n in range(6):
        producer.begin_transaction()
        producer.send(group.topics.frames, jpeg(16, 16, seed=n), b"cam-0", partition=0)
        producer.flush()
        (producer.abort_transaction if n % 3 == 2 else producer.commit_transaction)()
    producer.close(timeout=2)
    worker = start("worker", "--config", group.file).ready()
    group.predictions(4)
    worker.end(signal.SIGTERM)
    ended = longtake("replay", "--config", group.file, "--to", "12", "--diff", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["diff"]["counts"]["same"] == 4
    whole = longtake("replay", "--config", group.file, "--to", "12")
    assert Counter(line["source"]["offset"] for line in whole.lines) == Counter([0, 2, 6, 8])


def test_an_overlay_shows_the_frames_of_one_stream(
    worked: Group, longtake: Longtake, tmp_path: Path
) -> None:
    film = ("--overlay", "seen.mp4", "--stream", "cam-2")
    ended = longtake("replay", "--config", worked.file, "--diff", *film)
    assert ended.code == 0, ended.err
    assert "20 frames of partition 0 drawn" in ended.err
    with av.open(str(tmp_path / "seen.mp4")) as shown:
        times_s = [frame.time for frame in shown.decode(video=0)]
    # rounds 9 and 19 came after 5 s
    assert [times_s[n] for n in (0, 8, 9, 19)] == pytest.approx([0, 0.8, 5.8, 11.7])


@pytest.mark.slow
def test_a_stream_that_has_no_frame_leaves_no_film(
    worked: Group, longtake: Longtake, tmp_path: Path
) -> None:
    film = ("--overlay", "seen.mp4", "--stream", "nobody")
    ended = longtake("replay", "--config", worked.file, "--diff", *film)
    assert ended.code == 2
    assert "have no picture of stream nobody" in ended.complaint
    assert list(tmp_path.glob("seen*")) == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--overlay", "seen.mp4"), "--overlay FILE.mp4 and --stream NAME belong together"),
        (("--stream", "cam-1"), "--overlay FILE.mp4 and --stream NAME belong together"),
        (("--stream", "cam-1", "--overlay", "seen.avi"), "seen.avi must end in .mp4"),
        (("--stream", "no id", "--overlay", "seen.mp4"), "--stream: wanted a stream id"),
    ],
)
def test_what_an_overlay_needs_is_said_before_anything_is_read(
    longtake: Longtake, words: tuple[str, ...], complaint: str
) -> None:
    ended = longtake("replay", "--bootstrap", "127.0.0.1:1", *words)
    assert ended.code == 2
    assert complaint in ended.err


def test_a_group_that_is_not_there_is_named_with_those_that_are(
    group: Group, longtake: Longtake
) -> None:
    ended = longtake("replay", "--config", group.file, "--group", "nobody")
    assert ended.code == 2
    assert "there is no group nobody" in ended.complaint
    assert group.cluster.config.group in ended.complaint


def test_a_group_that_never_worked_has_nothing_to_replay(group: Group, longtake: Longtake) -> None:
    ended = longtake("replay", "--config", group.file)
    assert ended.code == 2
    assert "has never begun partitions [0, 1]: there is nothing to replay" in ended.complaint


def test_a_partition_that_is_not_there(group: Group, longtake: Longtake) -> None:
    ended = longtake("replay", "--config", group.file, "--partition", "7")
    assert ended.code == 2
    assert "there is no partition 7" in ended.complaint
