"""Chaos: with all kinds of faults for a while, no result is wrong."""

import os
from pathlib import Path

import pytest

from engines.base import EngineName
from pipeline.config import Delivery, Overload
from pipeline.errors import LocalKafkaError
from tests.chaos.report import Report
from tests.chaos.run import Plan, run
from tests.chaos.schedule import LOST, PLAIN
from tests.chaos.steps import STEPS
from tests.chaos.verdict import Verdict

pytestmark = [pytest.mark.kafka, pytest.mark.filterwarnings("ignore::ResourceWarning")]


def storm(seconds: float, seed: int, folder: Path, *, engine: EngineName = "onnxruntime") -> Report:
    return carried_out(Plan(seconds=seconds, seed=seed, engine=engine), folder)


def carried_out(plan: Plan, folder: Path) -> Report:
    try:
        report = run(plan, lambda text: None, folder=folder)
    except LocalKafkaError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no local Kafka: {exc}")
    return report


def assert_nothing_came_out_wrong(report: Report) -> None:
    assert report.unsettled is None
    assert {k: report.verdict.violations[k] for k in Verdict.KINDS} == dict.fromkeys(
        Verdict.KINDS, 0
    ), dict(report.verdict.examples)
    assert report.clean, report.exits


@pytest.mark.timeout(900)
def test_a_squall_of_faults_changes_no_prediction(tmp_path: Path) -> None:
    plan = Plan(seconds=12, workers=2, streams=12, partitions=4, fps=40.0, whole_deck=False)
    report = carried_out(plan, tmp_path)
    assert_nothing_came_out_wrong(report)
    assert sum(report.counts.values()) > 5
    assert {"predicted", "dead_lettered", "unkeyed", "duplicate"} <= report.verdict.units.keys()
    assert report.rewinds


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_forty_seconds_of_faults_change_no_prediction(tmp_path: Path) -> None:
    report = storm(40, 1, tmp_path)
    assert_nothing_came_out_wrong(report)
    assert sum(report.counts.values()) > 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_minute_and_a_half_of_every_fault_changes_no_prediction(tmp_path: Path) -> None:
    report = storm(90, 1, tmp_path)
    assert_nothing_came_out_wrong(report)
    wanted = {*PLAIN, *(f"kill {s}" for s in STEPS), *(f"lose {s}" for s in LOST)}
    assert wanted - report.counts.keys() == set()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("delivery", Delivery)
def test_half_a_minute_of_every_fault_changes_no_prediction_of_the_latest_frames(
    delivery: Delivery, tmp_path: Path
) -> None:
    plan = Plan(seconds=30, seed=22, delivery=delivery, overload=Overload.LATEST)
    report = carried_out(plan, tmp_path)
    assert_nothing_came_out_wrong(report)
    assert report.verdict.units["skipped"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("doubles")
def test_half_a_minute_of_every_fault_changes_no_prediction_on_tensorrts_double(
    tmp_path: Path,
) -> None:
    report = storm(30, 2, tmp_path, engine="tensorrt")
    assert_nothing_came_out_wrong(report)
    assert sum(report.counts.values()) > 5


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_ten_minutes_of_every_fault_change_no_prediction(seed: int, tmp_path: Path) -> None:
    assert_nothing_came_out_wrong(storm(600, seed, tmp_path))
