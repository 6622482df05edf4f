"""`longtake audit`: a real worker's log proves itself, a forged one does not."""

import signal
from pathlib import Path

import pytest

from tests.cli.commands import Group, Longtake, Start, until, write_settings
from tests.pipeline.pictures import jpeg

pytestmark = pytest.mark.kafka


def film(group: Group, count: int) -> None:
    for n in range(count):
        group.cluster.publish(n % 2, f"cam-{n % 2}".encode(), jpeg(16, 16, seed=n))


def test_what_a_worker_has_published_proves_itself(
    group: Group, start: Start, longtake: Longtake
) -> None:
    worker = start("worker", "--config", group.file).ready()
    film(group, 12)
    group.cluster.publish(0, b"cam-0", b"Dear reader,")
    group.cluster.publish(0, b"cam-0", None)
    film(group, 4)
    group.predictions(16)
    running = longtake("audit", "--config", group.file)
    assert (running.code, running.err) == (0, "")
    assert "16 predictions of 2 streams: no break" in running.out
    worker.end(signal.SIGTERM)
    ended = longtake("audit", "--config", group.file, "--json")
    assert (ended.code, ended.json["breaks"]) == (0, 0)
    tallies = [(p["predicted"]["found"], p["dead_lettered"]["found"]) for p in ended.json["lives"]]
    assert tallies == [(8, 1), (8, 0)]


def test_a_forged_prediction_is_told_and_ends_with_1(
    group: Group, start: Start, longtake: Longtake
) -> None:
    start("worker", "--config", group.file)
    film(group, 6)
    first, *_ = group.predictions(6)
    forged = (first.value or b"").replace(b'"seq":null', b'"seq":1234')
    group.cluster.write(group.topics.predictions, first.partition, first.key, forged)
    ended = longtake("audit", "--config", group.file)
    assert ended.code == 1
    assert ended.err == ""
    assert "altered" in ended.out
    assert "published again with other bytes" in ended.out
    assert "breaks" in ended.out.splitlines()[-1]


def test_a_repeat_is_a_break_unless_delivery_allows_it(
    group: Group, start: Start, longtake: Longtake
) -> None:
    start("worker", "--config", group.file)
    film(group, 4)
    first, *_ = group.predictions(4)
    group.cluster.write(group.topics.predictions, first.partition, first.key, first.value)
    command = ("audit", "--config", group.file, "--json")
    refused, allowed = longtake(*command), longtake(*command, "--delivery", "low_latency")
    kinds = [f["kind"] for life in refused.json["lives"] for f in life["findings"]]
    assert (refused.code, kinds) == (1, ["repeated"])
    assert (allowed.code, sum(life["repeats"] for life in allowed.json["lives"])) == (0, 1)


@pytest.mark.slow
def test_what_a_killed_worker_of_low_latency_has_repeated_is_counted_and_allowed(
    group: Group, start: Start, longtake: Longtake, tmp_path: Path, tiny: Path
) -> None:
    hasty = {"session_timeout_s": 2, "heartbeat_s": 0.2, "transaction_timeout_s": 1}
    rarely = hasty | {"checkpoint_s": 3, "delivery": "low_latency"}  # so that a kill repeats
    file = write_settings(tmp_path / "l.toml", group.cluster, bundle=str(tiny), **rarely)
    worker = start("worker", "--config", file).ready()
    film(group, 20)
    group.flowing(group.topics.predictions, 20)
    worker.process.kill()
    second = start("worker", "--config", file).ready()
    film(group, 4)
    topic = group.topics.predictions
    until(lambda: len({r.value for r in group.cluster.committed(topic)}) == 24, "all predictions")
    assert second.end(signal.SIGTERM)[0] == 0
    audit = longtake("audit", "--config", file, "--json")
    assert (audit.code, audit.json["breaks"]) == (0, 0)
    repeats = len(group.cluster.committed(topic)) - 24
    assert sum(life["repeats"] for life in audit.json["lives"]) == repeats
    assert sum(life["predicted"]["ledger"] for life in audit.json["lives"]) == 24


def test_what_a_worker_has_skipped_is_within_what_the_changelog_tells(
    group: Group, start: Start, longtake: Longtake, tmp_path: Path, tiny: Path
) -> None:
    newest = {"overload": "latest", "bundle": str(tiny)}
    file = write_settings(tmp_path / "l.toml", group.cluster, **newest)
    film(group, 60)
    worker = start("worker", "--config", file).ready()
    fates = [f'longtake_records_total{{fate="{fate}"}}' for fate in ("predicted", "skipped")]
    until(lambda: sum(map(worker.metric, fates)) == 60, "the end of the frames")
    assert worker.metric(fates[1]) > 0
    assert worker.end(signal.SIGTERM)[0] == 0
    audit = longtake("audit", "--config", file, "--json")
    assert (audit.code, audit.json["breaks"]) == (0, 0)


def test_a_group_that_has_never_worked_says_so(group: Group, longtake: Longtake) -> None:
    ended = longtake("audit", "--config", group.file, "--json")
    assert (ended.code, ended.out) == (23, "")
    assert "no partition has a manifest" in ended.complaint
