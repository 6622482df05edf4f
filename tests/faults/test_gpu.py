"""The whole worker with `engine = "tensorrt"`, on doubles or a GPU, and a real Kafka."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.local.cluster import LocalKafka
from pipeline.records import Record
from tests.clusters import KafkaCluster
from tests.faults.test_failover import (
    PARTITIONS,
    STREAMS,
    Crew,
    assert_chains_hold,
    assert_nothing_is_missing,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
PROGRAMS = {"doubles": "doubles.command", "real_gpu": "pipeline"}  # fixture -> what workers run
TOLERANCE = {"float32": 1e-4, "float16": 1e-2}


@pytest.fixture(
    params=[pytest.param(name, marks=[pytest.mark.gpu] * (name == "real_gpu")) for name in PROGRAMS]
)
def crew(request: pytest.FixtureRequest, kafka: LocalKafka, tmp_path: Path) -> Iterator[Crew]:
    request.getfixturevalue(request.param)
    cluster = KafkaCluster(kafka.connection, PARTITIONS)
    made = Crew(cluster, tmp_path)
    made.program = PROGRAMS[request.param]
    made.environment["LONGTAKE_CACHE"] = str(tmp_path / "cache")
    made.environment["LONGTAKE_ENGINE"] = "tensorrt"
    yield made
    made.close()
    cluster.close()


def replayed(crew: Crew, folder: Path) -> list[Any]:
    """Return the predictions of onnxruntime for the same log."""
    config = crew.cluster.config
    command = [
        *(sys.executable, "-m", "pipeline", "replay", "--bootstrap", config.bootstrap),
        *("--group", config.group, "--bundle", str(folder / "tiny")),
        *("--config", str(folder / "longtake.toml"), "--output", str(folder / "replayed.jsonl")),
    ]
    environment = os.environ | {"LONGTAKE_ENGINE": "onnxruntime"}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return [json.loads(line) for line in (folder / "replayed.jsonl").read_text().splitlines()]


def assert_near(records: list[Record], wanted: list[Any], tolerance: float) -> None:
    """Compare scores; they have four decimals, so rounding can add one of the last decimal."""
    published = {(r.partition, p["source"]["offset"]): p for r in records
                 if (p := json.loads(r.value or b""))}  # fmt: skip
    assert len(published) == len(wanted)
    for one in wanted:
        found = published[one["source"]["partition"], one["source"]["offset"]]
        apart = np.abs(np.subtract(list(found["scores"].values()), list(one["scores"].values())))
        assert apart.max() <= tolerance + 1e-4
        assert found["memory"] == one["memory"]


@pytest.mark.parametrize("precision", [pytest.param("float32", marks=pytest.mark.slow), "float16"])
def test_killed_workers_on_a_gpu_lose_nothing_and_answer_as_onnxruntime(
    crew: Crew, precision: str, tmp_path: Path
) -> None:
    crew.environment["LONGTAKE_GPU_PRECISION"] = precision
    crew.launch("one", "--slot", "one")
    crew.launch("two")
    crew.film(30)
    crew.await_predictions(crew.filmed - len(STREAMS))
    for victim, options in (("two", ()), ("one", ("--slot", "one"))):
        crew.film(10)
        crew.kill(victim)
        crew.launch(victim, *options)
    crew.film(20)
    records = crew.await_predictions(crew.filmed)
    assert_chains_hold(records)
    assert_nothing_is_missing(crew, records)
    assert_near(records, replayed(crew, tmp_path), TOLERANCE[precision])


def test_a_worker_on_a_gpu_tells_what_its_device_does(crew: Crew) -> None:
    crew.launch("one")
    crew.film(5)
    crew.await_predictions(crew.filmed)
    told = scraped(crew, "one")
    assert told["longtake_worker_info"] == {"tensorrt": 1.0}
    assert told["longtake_plans_total"] == {"hit": 0.0, "miss": 2.0, "reject": 0.0}
    assert told["longtake_device_items_total"][""] >= 2 * crew.filmed  # encoded, and stepped
    assert told["longtake_device_slots_total"][""] >= told["longtake_device_items_total"][""]
    for name in ("enqueue_seconds_total", "wait_seconds_total", "memory_bytes", "captured_graphs"):
        assert told[f"longtake_device_{name}"][""] > 0
    assert told["longtake_plan_build_seconds"][""] > 0
    crew.kill("one")
    crew.launch("two")
    crew.film(5)
    crew.await_predictions(crew.filmed)
    assert scraped(crew, "two")["longtake_plans_total"]["hit"] == 2.0


def scraped(crew: Crew, slot: str) -> dict[str, dict[str, float]]:
    """Return what /metrics shows: name -> the last label's value -> number."""
    found = re.search(r"metrics on (http://127.0.0.1:\d+/metrics)", crew.last_words()[slot])
    assert found, crew.last_words()
    with urllib.request.urlopen(found[1]) as answer:  # noqa: S310 - ours, on loopback
        text = answer.read().decode()
    told: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = sample.labels.get("engine") or sample.labels.get("found") or ""
            told.setdefault(sample.name, {})[label] = sample.value
    return told
