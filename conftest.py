"""Fixtures of all tests: one real Kafka for the session, and a failure where CI would skip it."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest
from hypothesis import Phase, settings

from doubles import genuine
from doubles.parts import find_parts
from doubles.wanted import or_skipped
from engines.errors import EngineUnavailableError
from engines.tensorrt.parts import find_machine
from pipeline.errors import LocalKafkaError
from pipeline.local.cluster import LocalKafka
from pipeline.local.secure.protection import Secure
from tests.token_issuer import TokenIssuer

CLOSING_S = 10.0

# in the background of a script SIGINT is ignored, and so it would be by the commands that we end
signal.signal(signal.SIGINT, signal.default_int_handler)

# without the 200 ms that an example may take by default: no test here is timed
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")
# what `make mutants` runs: that a test fails is enough, the smallest example is not wanted
settings.register_profile("first-failure", settings(), phases=[Phase.explicit, Phase.generate])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that may take longest, so that no process ends long after the others."""
    longest: dict[Path, float] = {}
    for item in items:
        limit = item.get_closest_marker("timeout")
        seconds = float(limit.args[0]) if limit is not None else 0.0
        longest[item.path] = max(longest.get(item.path, 0.0), seconds)
    items.sort(key=lambda item: -longest[item.path])


@pytest.fixture(autouse=True)
def no_kafka_client_outlives_its_test() -> Iterator[None]:
    """One that does goes on drawing random numbers in a thread, and hypothesis trips over it."""
    before = set(threading.enumerate())
    yield
    deadline_s = time.monotonic() + CLOSING_S
    while left := [
        t.name for t in set(threading.enumerate()) - before if t.name.startswith("kafka-")
    ]:
        assert time.monotonic() < deadline_s, f"clients that are not closed: {left}"
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def libav_is_silent_again() -> Iterator[None]:
    """See `rtp_holes`: while libav's log is read, decoders must not have frame threads."""
    yield
    av.logging.set_level(None)


@pytest.fixture(scope="session")
def kafka() -> Iterator[LocalKafka]:
    """One real node, started once and shared: topics and groups need names of their own."""
    with _running(LocalKafka()) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def token_issuer() -> TokenIssuer:
    """The issuer whose tokens `secured` accepts."""
    return TokenIssuer()


@pytest.fixture(scope="session")
def secured(
    tmp_path_factory: pytest.TempPathFactory, token_issuer: TokenIssuer
) -> Iterator[LocalKafka]:
    """One real node with TLS, logins and ACLs, shared: `protection.grant` allows further groups."""
    folder = tmp_path_factory.mktemp("secured")
    jwks = token_issuer.write_jwks(folder / "jwks.json")
    with _running(LocalKafka(secure=Secure(folder / "users", jwks=jwks))) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[LocalKafka]:
    """A node of one file of tests, which may kill or freeze it; each leaves it as it was."""
    with _running(LocalKafka()) as cluster:
        yield cluster


@contextmanager
def _running(cluster: LocalKafka) -> Iterator[LocalKafka]:
    try:
        cluster.start()
    except LocalKafkaError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no local Kafka: {exc}")
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def parts() -> Path:
    """Find the genuine parts of NVIDIA's stack, built where they are not there yet."""
    with or_skipped():
        return find_parts()


@pytest.fixture(scope="session")
def doubles() -> None:
    """Put the doubles of driver and TensorRT under the genuine pycuda, for the whole session."""
    from doubles.tensorrt import install

    with or_skipped():
        install()


@pytest.fixture(scope="session")
def real_gpu() -> None:
    """Skip where there is no GPU, or where the doubles stand in its place."""
    if genuine.loaded():
        pytest.skip("the doubles are loaded; on a machine with a GPU run `pytest -m gpu`")
    try:
        find_machine()
    except EngineUnavailableError as exc:
        pytest.skip(f"no GPU: {exc}")
