"""Fixtures of all tests: one real Kafka for the session, and a failure where CI would skip it."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings

from pipeline.errors import LocalKafkaError
from pipeline.local.cluster import LocalKafka

# what `make mutants` runs: that a test fails is enough, the smallest example is not wanted
settings.register_profile("first-failure", phases=[Phase.explicit, Phase.generate])


@pytest.fixture(scope="session")
def kafka() -> Iterator[LocalKafka]:
    """One real node, started once and shared: topics and groups need names of their own."""
    try:
        cluster = LocalKafka()
        cluster.start()
    except LocalKafkaError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no local Kafka: {exc}")
    yield cluster
    cluster.stop()
