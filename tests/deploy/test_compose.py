"""compose.yaml is valid by the specification's schema, and everything that it names exists."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.deploy.composition import read, service, services
from tests.deploy.dockerfile import DEPLOY, ROOT

SCHEMA = json.loads((Path(__file__).parent / "compose-spec" / "compose-spec.json").read_text())
FILES = ["compose.yaml", "compose.admin.yaml"]


@pytest.mark.parametrize("name", FILES)
def test_it_follows_the_specification(name: str) -> None:
    faults = Draft7Validator(SCHEMA).iter_errors(read(name))
    assert [f"{fault.json_path}: {fault.message}" for fault in faults] == []


def test_the_schema_refuses_a_file_that_is_not_a_compose_file() -> None:
    """Check the validator itself: one that ignores parts of the schema would accept everything."""
    Draft7Validator.check_schema(SCHEMA)
    wrong = {"services": {"a": {"image": "b", "healthcheck": {"interval": "1s", "tries": 3}}}}
    assert [fault.json_path for fault in Draft7Validator(SCHEMA).iter_errors(wrong)] != []


@pytest.fixture
def compose() -> list[str]:
    """Return Docker's own parser, or skip. CI may lack it too: the schema's test always runs."""
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("no docker on this machine")
    if subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker is here, but not its compose")
    return [docker, "compose"]


@pytest.mark.parametrize("files", [FILES[:1], FILES], ids=["alone", "with an admin"])
def test_docker_compose_accepts_it(compose: list[str], files: list[str]) -> None:
    named = [word for name in files for word in ("--file", str(DEPLOY / name))]
    ended = subprocess.run(
        [*compose, *named, "config", "--quiet"],
        env=os.environ | {"GRAFANA_ADMIN_PASSWORD": "chosen"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_images_are_pinned_to_a_version() -> None:
    foreign = [one.definition["image"] for one in services() if not one.is_longtake]
    assert [image for image in foreign if not re.search(r":v?\d+\.\d+\.\d+@sha256:", image)] == []


def test_services_wait_for_services_that_can_become_what_is_waited_for() -> None:
    pairs = [(service(n), rule) for one in services() for n, rule in one.waits_for.items()]
    assert len(pairs) == 5
    for other, rule in pairs:
        if rule == "service_healthy":
            assert "test" in other.definition["healthcheck"]
        if rule == "service_completed_successfully":
            assert other.definition["restart"] == "no"


def test_volumes_are_declared_and_used() -> None:
    named = {mount.source for one in services() for mount in one.mounts if mount.path is None}
    assert named == set(read("compose.yaml")["volumes"])


@pytest.mark.parametrize("part", ["cameras", "targets", "prometheus", "grafana"])
def test_what_is_mounted_exists_and_cannot_be_written(part: str) -> None:
    mounts = [(one, one.path) for service in services() for one in service.mounts]
    ours = [(one, path) for one, path in mounts if path and one.source.split("/")[1] == part]
    assert ours
    assert [one for one, path in ours if not path.exists() or one.mode != "ro"] == []


def test_nothing_is_published_beyond_this_machine() -> None:
    ports = [port for one in services() for port in one.definition.get("ports", [])]
    assert len(ports) == 3
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_no_secret_is_written_down() -> None:
    for name in FILES:
        text = (DEPLOY / name).read_text()
        secrets = re.findall(r"^\s+\w*(?:PASSWORD|SECRET|TOKEN)\w*: (.*)$", text, re.MULTILINE)
        assert [one for one in secrets if not re.fullmatch(r"\$\{\w+:\?[\w ]+\}", one)] == []
    assert "/deploy/cameras.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_grafana_is_read_only_until_an_admin_is_configured() -> None:
    alone = service("grafana").environment
    assert alone["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert alone["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    asked = read("compose.admin.yaml")["services"]["grafana"]["environment"]
    assert asked["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "false"
    assert "${GRAFANA_ADMIN_PASSWORD:?" in asked["GF_SECURITY_ADMIN_PASSWORD"]


def test_a_broker_advertises_to_each_side_an_address_that_it_can_reach() -> None:
    kafka = service("kafka")
    advertised = kafka.environment["KAFKA_ADVERTISED_LISTENERS"].split(",")
    host, inside = (address.partition("://")[2] for address in advertised)
    assert f"{host}:{host.rpartition(':')[2]}" in kafka.definition["ports"]
    ours = [one for one in services() if one.is_longtake]
    assert {one.environment["LONGTAKE_BOOTSTRAP"] for one in ours} == {inside}
    doors = re.findall(r"(\w+)://", kafka.environment["KAFKA_LISTENERS"])
    mapped = re.findall(r"(\w+):", kafka.environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"])
    assert doors == mapped == ["HOST", "SERVICES", "CONTROLLER"]


def test_grafana_finds_its_dashboards_and_the_prometheus_of_this_file() -> None:
    grafana, provisioned = service("grafana"), DEPLOY / "grafana" / "provisioning"
    dashboards = yaml.safe_load((provisioned / "dashboards" / "longtake.yml").read_text())
    (provider,) = dashboards["providers"]
    assert provider["options"]["path"] in {mount.target for mount in grafana.mounts}
    sources = yaml.safe_load((provisioned / "datasources" / "prometheus.yml").read_text())
    assert [source["url"] for source in sources["datasources"]] == ["$PROMETHEUS_URL"]
    assert grafana.environment["PROMETHEUS_URL"] == "http://prometheus:9090"


def test_prometheus_reads_a_configuration_that_is_mounted() -> None:
    prometheus = service("prometheus")
    (file,) = [w.partition("=")[2] for w in prometheus.definition["command"] if "config.file" in w]
    targets = {mount.target: mount.source for mount in prometheus.mounts}
    assert targets[str(Path(file).parent)] == "./prometheus"
    assert targets[f"{Path(file).parent}/targets"] == "./targets"


@pytest.mark.parametrize("name", ["workers.yml", "cameras.yml"])
def test_targets_are_services(name: str) -> None:
    (group,) = yaml.safe_load((DEPLOY / "targets" / name).read_text())
    hosts = [target.partition(":")[0] for target in group["targets"]]
    commands = {"workers.yml": "worker", "cameras.yml": "camera"}
    wanted = [one.name for one in services() if commands[name] in one.definition.get("command", [])]
    assert hosts == wanted
