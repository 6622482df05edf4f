"""Prometheus' own tools accept our configuration, and its names are names of our metrics."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.worker.metrics.group_label import with_group
from pipeline.worker.metrics.worker_metrics import WorkerMetrics
from tests.cli.commands import Group, Start, until, write_settings
from tests.deploy.cameras import METRICS, CamerasStandIn
from tests.deploy.expressions import (
    ALERTS,
    OF_DASHBOARD,
    OF_RULES,
    PROMETHEUS,
    RECORDED,
    ROOT,
    RULES,
    VARIABLES,
    family,
    series_in,
)
from tests.pipeline.pictures import jpeg

PAGE = "{{ with $externalLabels.longtake_runbook }}{{ . }}{{ else }}docs/runbook.md{{ end }}"
Described = dict[str, tuple[str, frozenset[str]]]  # metric -> type, labels


def ran(*command: str | Path, stdin: str = "") -> tuple[int, str]:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def exposed(text: str) -> Described:
    """Return our metrics in the text of a scrape."""
    found: Described = {}
    for metric in text_string_to_metric_families(text):
        labels = frozenset(label for sample in metric.samples for label in sample.labels)
        name = metric.name + ("_total" if metric.type == "counter" else "")
        if name.startswith("longtake_"):
            found[name] = (metric.type, labels - {"le"})
    return found


def documented(section: str) -> Described:
    """Return the metrics that docs/metrics.md lists for one kind of process."""
    text = (ROOT / "docs" / "metrics.md").read_text().partition(f"## {section}\n")[2]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| .+ \|$", text.partition("\n## ")[0], re.M)
    return {name: (kind, frozenset(re.findall(r"\w+", labels))) for name, kind, labels in rows}


def documented_of_a_worker() -> Described:
    """Return the worker's metrics; their text says once that each has the label `group` as well."""
    listed = documented("Worker").items()
    return {name: (kind, labels | {"group"}) for name, (kind, labels) in listed}


def worker_metrics() -> Described:
    metrics = WorkerMetrics()
    metrics.model.set_labels(["walk"])
    metrics.streams.expect(["gate"])
    metrics.set_info(worker="one", bundle="tiny", engine="onnxruntime")
    return exposed(generate_latest(with_group(metrics.registry, "actions")).decode())


def served_by_workers() -> set[str]:
    """Return the names of workers' series; a histogram has three kinds."""
    ends = ("", "_bucket", "_sum", "_count")
    return {name + end for name in worker_metrics() for end in ends}


def test_the_configuration_is_valid(promtool: str) -> None:
    code, output = ran(promtool, "check", "config", PROMETHEUS / "prometheus.yml")
    assert (code, "WARNING" in output) == (0, False), output


def test_every_alert_is_made_to_fire_by_a_test() -> None:
    tree = ast.parse(Path(__file__).with_name("test_watched.py").read_text())
    assert set(ALERTS) <= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


def test_the_rules_are_valid(promtool: str) -> None:
    files = (PROMETHEUS / "recording.yml", PROMETHEUS / "alerts.yml")
    code, output = ran(promtool, "check", "rules", "--lint-fatal", *files)
    assert code == 0, output


def test_every_alert_fires_when_it_should_and_not_before(promtool: str) -> None:
    code, output = ran(promtool, "test", "rules", PROMETHEUS / "tests.yml")
    assert code == 0, output


def test_every_alert_has_a_test() -> None:
    tested = set(re.findall(r"alertname: (\w+)\n", (PROMETHEUS / "tests.yml").read_text()))
    assert set(ALERTS) == tested


def test_every_alert_has_a_section_in_the_runbook() -> None:
    named = re.findall(rf"runbook_url: '{re.escape(PAGE)}#(\w+)'$", RULES, re.MULTILINE)
    sections = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert named == [alert.lower() for alert in ALERTS]
    assert sections == ALERTS


def test_the_operators_are_told_where_to_say_what_page_alerts_lead_to() -> None:
    (label,) = set(re.findall(r"externalLabels\.(\w+)", RULES))
    for told in (PROMETHEUS / "prometheus.yml", ROOT / "docs" / "operations.md"):
        assert f"{label}: https://" in told.read_text()


def test_rules_and_dashboard_use_only_metrics_that_exist() -> None:
    everything = (*OF_RULES, *OF_DASHBOARD, *(one["definition"] for one in VARIABLES.values()))
    asked = {family(name) for e in everything for name in series_in(e)}
    assert asked - worker_metrics().keys() - METRICS.keys() == set()
    recorded = {name for e in (*OF_RULES, *OF_DASHBOARD) for name in re.findall(r"\w+:\w+:\w+", e)}
    assert recorded == RECORDED


def test_no_rule_mixes_the_workers_of_two_groups() -> None:
    of_workers = [e for e in OF_RULES if series_in(e) & {*served_by_workers()}]
    assert len(of_workers) > 10
    mixing = re.compile(r"\b(sum|min|max|avg|count)\b(?! by \(group\b)")
    assert [e for e in of_workers if mixing.search(e)] == []


def test_every_alert_about_workers_names_their_group() -> None:
    alerts = re.findall(r"- alert: (\w+)\n(.+?)(?=\n\n|\Z)", RULES, re.DOTALL)
    assert [name for name, _ in alerts] == ALERTS
    of_cameras = re.compile(r"longtake_(camera|spool)|\bup\b")  # an `up` has no group
    nameless = [
        name for name, text in alerts if "$labels.group" not in text.partition("summary")[2]
    ]
    assert nameless == [name for name, text in alerts if of_cameras.search(text)]


def test_the_documentation_lists_exactly_the_metrics_that_exist() -> None:
    assert documented_of_a_worker() == worker_metrics()


def test_the_stand_in_for_cameras_has_the_metrics_that_are_documented() -> None:
    stand_in = exposed(generate_latest(CamerasStandIn("gate").registry).decode())
    assert stand_in == documented("Camera process")


@pytest.mark.kafka
def test_a_real_workers_metrics_are_documented_and_keep_the_conventions(
    group: Group, start: Start, tiny: Path, tmp_path: Path, promtool: str
) -> None:
    more = {"bundle": str(tiny), "expected_streams": ["cam-1"]}
    settings = write_settings(tmp_path / "watched.toml", group.cluster, **more)
    worker = start("worker", "--config", settings).ready()
    group.cluster.publish(0, b"cam-1", jpeg(16, 16, seed=1))
    until(lambda: worker.metric('longtake_records_total{fate="predicted"}') == 1, "one predicted")
    text = worker.get("/metrics")[1]
    assert exposed(text) == documented_of_a_worker()
    assert ran(promtool, "check", "metrics", stdin=text) == (0, "")


@pytest.mark.kafka
def test_real_cameras_metrics_are_documented_and_keep_the_conventions(
    group: Group, start: Start, clip: Path, promtool: str
) -> None:
    where = ("--bootstrap", group.cluster.config.bootstrap, "--topic", group.topics.frames)
    cameras = start("camera", clip, "--stream", "gate", "--loop", "--metrics-port", "0", *where)
    published = 'longtake_camera_frames_total{camera="gate",fate="published"}'
    until(lambda: cameras.metric(published) >= 1, "one published")
    text = cameras.get("/metrics")[1]
    assert exposed(text) == documented("Camera process")
    assert ran(promtool, "check", "metrics", stdin=text) == (0, "")
