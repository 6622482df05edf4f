"""Variables of Kubernetes and Docker are not settings; a similar name is a typo."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.cameras.camera_settings import load_cameras
from pipeline.config import load_config
from pipeline.errors import ConfigError

Load = Callable[[Path | None, Mapping[str, Any]], Any]

# as a kubelet writes them for the Services longtake, longtake-kafka and longtake-metrics
KUBERNETES = {
    "LONGTAKE_SERVICE_HOST": "10.96.0.12",
    "LONGTAKE_SERVICE_PORT": "9108",
    "LONGTAKE_SERVICE_PORT_HTTP_METRICS": "9108",
    "LONGTAKE_PORT": "tcp://10.96.0.12:9108",
    "LONGTAKE_KAFKA_SERVICE_HOST": "fd00:10:96::c",
    "LONGTAKE_KAFKA_PORT": "tcp://[fd00:10:96::c]:9092",
    "LONGTAKE_PORT_9092_TCP": "tcp://10.96.0.12:9092",
    "LONGTAKE_PORT_9092_TCP_ADDR": "10.96.0.12",
    "LONGTAKE_PORT_9092_TCP_PORT": "9092",
    "LONGTAKE_PORT_9092_TCP_PROTO": "tcp",
    "LONGTAKE_DNS_PORT_53_UDP_PROTO": "udp",
    "LONGTAKE_GATE_PORT_5000_SCTP": "sctp://10.96.0.13:5000",
    "LONGTAKE_METRICS_PORT": "tcp://10.96.0.14:9108",  # the name is that of a setting
}
# as Docker writes them for `--link redis:longtake-db`
DOCKER = {
    "LONGTAKE_DB_NAME": "/worker/longtake-db",
    "LONGTAKE_DB_ENV_REDIS_VERSION": "7",
    "LONGTAKE_DB_PORT_6379_TCP_START": "tcp://172.17.0.2:6379",
    "LONGTAKE_DB_PORT_6379_TCP_PORT_END": "6390",
}
TYPOS = {
    "LONGTAKE_PORT": "9108",
    "LONGTAKE_METRIC_PORT": "9108",
    "LONGTAKE_KAFKA_PORT": "http://10.96.0.12:9092",
    "LONGTAKE_SERVICE_HOST": "kafka",
    "LONGTAKE_SERVICE_PORT": "http",
    "LONGTAKE_PORT_TCP_ADDR": "10.96.0.12",
    "LONGTAKE_PORT_9092_TCP_PROTO": "http",
    "LONGTAKE_BUNDLE_NAME": "/models/actions",
    "LONGTAKE_ENV_BUNDLE": "actions",
    "longtake_service_host": "10.96.0.12",
}

both = pytest.mark.parametrize("load", [load_config, load_cameras])


@pytest.fixture(autouse=True)
def _no_variables_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("LONGTAKE_")]:
        monkeypatch.delenv(name)


@both
@pytest.mark.parametrize("name", KUBERNETES)
def test_a_variable_of_kubernetes_is_ignored(
    load: Load, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, KUBERNETES[name])
    assert load(None, {}).bootstrap == "127.0.0.1:9092"


@both
def test_the_variables_of_a_docker_link_are_ignored(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in DOCKER.items():
        monkeypatch.setenv(name, value)
    assert load(None, {}).bootstrap == "127.0.0.1:9092"


@pytest.mark.parametrize(("load", "port"), [(load_config, 9108), (load_cameras, 9109)])
def test_a_service_named_after_a_setting_does_not_set_it(
    load: Load, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGTAKE_METRICS_PORT", "tcp://10.96.0.14:9200")
    assert load(None, {}).metrics_port == port


@both
@pytest.mark.parametrize("name", TYPOS)
def test_what_only_looks_like_a_service_is_refused_by_its_name(
    load: Load, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, TYPOS[name])
    with pytest.raises(ConfigError, match=f"the environment has {name}, which longtake does not"):
        load(None, {})


@both
def test_a_wrong_value_of_a_setting_is_still_refused(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGTAKE_METRICS_PORT", "http://10.96.0.14:9108")
    with pytest.raises(ConfigError, match="metrics_port"):
        load(None, {})
