"""Rendering the metrics takes a bounded part of the process' time."""

from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pipeline.clock import ManualClock
from pipeline.web.page import MetricsPage


@dataclass(eq=False)
class SlowMetric(Collector):
    """A metric that takes two seconds, and counts how often it was collected."""

    clock: ManualClock
    collected: int = 0

    def collect(self) -> Iterable[Metric]:
        self.clock.advance(2.0)
        self.collected += 1
        yield GaugeMetricFamily("times", "Times.", value=self.collected)


@pytest.fixture
def slow() -> SlowMetric:
    return SlowMetric(ManualClock())


@pytest.fixture
def page(slow: SlowMetric) -> MetricsPage:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(slow)
    return MetricsPage(registry, slow.clock)


def test_a_page_that_was_just_rendered_is_given_again(slow: SlowMetric, page: MetricsPage) -> None:
    first = page.text()
    slow.clock.advance(5.9)
    assert page.text() == first


def test_a_page_is_rendered_again_after_a_rest_of_three_times_that_time(
    slow: SlowMetric, page: MetricsPage
) -> None:
    before = slow.collected
    page.text()
    slow.clock.advance(6.0)
    assert f"times {before + 2}.0" in page.text().decode()
