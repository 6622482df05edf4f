"""Each container: its command, settings, files, ports and probes are those of longtake."""

import os
from pathlib import Path

import pytest

from pipeline.cameras.camera_settings import CamerasConfig, load_cameras
from pipeline.config import WorkerConfig, load_config
from pipeline.kafka_settings import KafkaSettings
from pipeline.secrets import PLACE
from pipeline.settings import PREFIX
from pipeline.worker.service import FAILURE_SHOWN_S
from tests.deploy.commands import refusal
from tests.deploy.kubernetes.pods import POD, Container, all_containers

SERVING = [one for one in all_containers() if "ports" in one.spec]

every = pytest.mark.parametrize("one", all_containers(), ids=lambda one: one.name)
serving = pytest.mark.parametrize("one", SERVING, ids=lambda one: one.name)


@pytest.fixture(autouse=True)
def _no_variables_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


class Started:
    """The settings that a container's command would read, from copies of its mounted files."""

    def __init__(self, one: Container, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for path, text in one.files():
            copy = folder / path.relative_to("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text)
        for name, value in one.environment.items():
            monkeypatch.setenv(name, self._here(value, folder))
        words = [word.partition("=") for word in one.arguments]
        self.flags = {name.removeprefix("--"): value for name, _, value in words if name[0] == "-"}
        file = self.flags.get("config")
        load = load_cameras if one.arguments[0] == "camera" else load_config
        place = Path(self._here(file, folder)) if file else None
        self.settings: WorkerConfig | CamerasConfig = load(place, {})

    @staticmethod
    def _here(value: str, folder: Path) -> str:
        return str(folder / value[1:]) if value.endswith(".toml") else value


@every
def test_its_command_is_one_of_ours_and_would_not_be_with_another_flag(one: Container) -> None:
    assert refusal(one.arguments) is None
    assert "No such option: --slots" in str(refusal([*one.arguments, "--slots", "1"]))


@every
def test_its_settings_are_accepted(
    one: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Started(one, tmp_path, monkeypatch).settings
    reaches_kafka = one.arguments[0] != "engine"
    assert (settings.bootstrap[:6] == "kafka-") is reaches_kafka
    assert settings.metrics_host == "0.0.0.0"  # noqa: S104 - within the pod


@every
def test_every_file_that_it_reads_is_mounted(
    one: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started(one, tmp_path, monkeypatch)
    settings = started.settings
    named = {getattr(settings, name) for name in KafkaSettings.model_fields if "location" in name}
    named |= {Path(started.flags["config"])} if "config" in started.flags else set()
    secrets = PLACE.findall("".join(text for _, text in one.files()))
    named |= {Path(file) for file, _ in secrets if "NAME" not in file}
    assert named - {None} - {path for path, _ in one.files()} == set()
    assert [variable for _, variable in secrets if variable] == []


@every
def test_each_mount_has_a_volume_and_each_volume_a_mount(one: Container) -> None:
    mounted = {m["name"] for c in one.workload.containers for m in c.mounts.values()}
    assert mounted == one.workload.volumes.keys()
    for path, mount in one.mounts.items():
        volume = one.workload.volumes[mount["name"]]
        is_written = "emptyDir" in volume or "disk" in volume
        assert (path, mount.get("readOnly", False)) == (path, not is_written)
        assert "subPath" not in mount  # a kubelet does not update it


@serving
def test_everything_that_it_keeps_is_in_a_folder_where_it_can_write(
    one: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Started(one, tmp_path, monkeypatch).settings
    spool = settings.spool if isinstance(settings, CamerasConfig) else None
    kept = [spool] if spool else [Path(one.environment["LONGTAKE_CACHE"])]
    # strictly below: the mounted folder itself is its group's too, so nothing in it is trusted
    assert [path for path in kept if not any(f in path.parents for f in one.writable)] == []
    assert Path("/tmp") in one.writable  # noqa: S108 - of the pod


@serving
def test_its_port_is_the_one_that_its_command_listens_on(
    one: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert one.port == Started(one, tmp_path, monkeypatch).settings.metrics_port


@serving
def test_its_probes_ask_what_the_web_server_answers(one: Container) -> None:
    asked = {name: probe["httpGet"] for name, probe in one.probes.items()}
    assert asked == {
        "startupProbe": {"path": "/healthz", "port": "metrics"},
        "livenessProbe": {"path": "/healthz", "port": "metrics"},
        "readinessProbe": {"path": "/readyz", "port": "metrics"},
    }


@serving
def test_a_failure_is_shown_for_longer_than_a_probe_waits(one: Container) -> None:
    """The process ends with its own exit code before the kubelet kills it."""
    probe = one.probes["livenessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] > FAILURE_SHOWN_S


def test_every_worker_has_its_pods_name_as_its_slot() -> None:
    workers = [one for one in all_containers() if one.arguments[0] == "worker"]
    assert len(workers) == 4
    for one in workers:
        assert f"--slot={POD}" in one.arguments
        assert one.spec["env"][0]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
        assert one.workload.manifest["kind"] == "StatefulSet"


def test_workers_wait_for_their_topics_longer_than_a_failed_job_is_delayed() -> None:
    """A Job's pod is started again after 10 s, 20 s, 40 s and so on, up to six minutes."""
    workers = [one for one in all_containers() if one.arguments[0] == "worker"]
    assert {one.arguments[-1] for one in workers} == {"--wait-for-topics=600"}


def test_expected_streams_are_cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("base", "example"):
        ours = {c.arguments[0]: c for c in all_containers() if c.workload.tree.name == name}
        workers = Started(ours["worker"], tmp_path, monkeypatch).settings
        cameras = Started(ours["camera"], tmp_path, monkeypatch).settings
        assert isinstance(workers, WorkerConfig)
        assert isinstance(cameras, CamerasConfig)
        assert list(workers.expected_streams) == list(cameras.camera)
