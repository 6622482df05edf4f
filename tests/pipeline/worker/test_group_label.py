"""Every sample of a worker says of which group it is."""

import pytest
from prometheus_client import generate_latest

from engines.base import DeviceFacts
from pipeline.worker.metrics.group_label import with_group
from pipeline.worker.metrics.worker_metrics import WorkerMetrics

FACTS = DeviceFacts(
    plans={},
    build_s=0,
    enqueue_s=0,
    wait_s=0,
    items=0,
    slots=0,
    captured=0,
    not_captured="",
    memory_bytes=0,
)


@pytest.fixture
def metrics() -> WorkerMetrics:
    """Return metrics that have a sample of each kind, those of a GPU and of a stream as well."""
    metrics = WorkerMetrics()
    metrics.model.set_labels(["walk"])
    metrics.streams.expect(["gate"])
    metrics.device.set_facts(FACTS)
    metrics.set_info(worker="one", bundle="tiny", engine="onnxruntime")
    return metrics


def test_every_sample_has_the_group_and_the_process_has_it_too(metrics: WorkerMetrics) -> None:
    served = with_group(metrics.registry, "canary")
    samples = [sample for metric in served.collect() for sample in metric.samples]
    names = {sample.name for sample in samples}
    assert names >= {"longtake_worker_info", "longtake_lag_records", "process_cpu_seconds_total"}
    assert {sample.labels["group"] for sample in samples} == {"canary"}


def test_names_types_and_descriptions_are_served_as_they_are(metrics: WorkerMetrics) -> None:
    served = generate_latest(with_group(metrics.registry, "canary")).decode().splitlines()
    own = generate_latest(metrics.registry).decode().splitlines()
    assert [line for line in served if line[0] == "#"] == [line for line in own if line[0] == "#"]
    assert len(served) == len(own)


def test_what_is_counted_later_is_served_and_the_metrics_keep_their_labels(
    metrics: WorkerMetrics,
) -> None:
    served = with_group(metrics.registry, "canary")
    assert served.get_sample_value("longtake_lag_records", {"group": "canary"}) == 0
    metrics.set_lag(7)
    assert served.get_sample_value("longtake_lag_records", {"group": "canary"}) == 7
    assert metrics.registry.get_sample_value("longtake_lag_records") == 7
