"""Compressed batches that cannot be unpacked: each offset has its fate, and other streams go on."""

import pytest

from tests.cli.commands import Group, Longtake, Start
from tests.packed import CODECS, batch, bomb, pack, records, send
from tests.pipeline.pictures import jpeg

pytestmark = pytest.mark.kafka


def test_a_bomb_of_400_mb_costs_its_own_record_and_nothing_else(
    group: Group, start: Start, longtake: Longtake, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = start("worker", "--config", group.file).ready()
    send(monkeypatch, group.cluster.config.bootstrap, group.topics.frames, bomb(400 << 20))
    for number in range(6):
        group.cluster.publish(number % 2, f"cam-{number}".encode(), jpeg(16, 16, seed=number))
    group.predictions(6)
    (letter,) = group.dead_letters(1)
    said = dict(letter.headers)
    assert (said["reason"], said["source-offset"], letter.value) == (b"refused", b"0", b"")
    assert b"of gzip do not unpack into at most" in said["error"]
    assert worker.metric('longtake_dead_letters_total{reason="refused"}') == 1
    for command in (["audit"], ["replay", "--diff"]):
        assert longtake(*command, "--config", group.file).code == 0


def test_a_batch_of_very_many_records_that_is_too_large_leaves_a_thousand_letters(
    group: Group, start: Start, longtake: Longtake, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = pack("zstd", records([bytes(20_000)] * 3000))
    many = batch(content, codec=CODECS["zstd"], count=3000)
    send(monkeypatch, group.cluster.config.bootstrap, group.topics.frames, many)
    group.cluster.publish(0, b"cam-0", jpeg(16, 16, seed=1))
    start("worker", "--config", group.file)
    group.predictions(1)
    letters = [dict(letter.headers) for letter in group.dead_letters(1000)]
    offsets = {int(said["source-offset"]) for said in letters}
    assert offsets == {*range(999), 2999}
    assert sum(b"stands for the 2000 offsets before it" in said["error"] for said in letters) == 1
    assert longtake("audit", "--config", group.file).code == 0


def test_a_bomb_in_the_changelog_ends_a_worker_with_its_place(
    group: Group, longtake: Longtake, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = pack("zstd", records([bytes(40 << 20)], key=b"m"))
    packed = batch(forged, codec=CODECS["zstd"])
    send(monkeypatch, group.cluster.config.bootstrap, group.topics.state, packed)
    ended = longtake("worker", "--config", group.file)
    assert ended.code == 21
    assert f"the changelog {group.topics.state} partition 0 offset 0 cannot be" in ended.complaint
    assert "of zstd do not unpack into at most" in ended.complaint


def test_a_bomb_among_the_predictions_is_told_by_the_audit(
    group: Group, start: Start, longtake: Longtake, monkeypatch: pytest.MonkeyPatch
) -> None:
    start("worker", "--config", group.file)
    group.cluster.publish(0, b"cam-0", jpeg(16, 16, seed=1))
    group.predictions(1)
    send(monkeypatch, group.cluster.config.bootstrap, group.topics.predictions, bomb(400 << 20))
    ended = longtake("audit", "--config", group.file)
    assert ended.code == 1
    assert "unreadable" in ended.out
