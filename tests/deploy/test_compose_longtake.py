"""The services of compose.yaml that run longtake: their commands, settings, cameras and rights."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from pipeline.cameras.camera_settings import CamerasConfig, load_cameras
from pipeline.config import WorkerConfig, load_config
from tests.deploy.commands import refusal
from tests.deploy.composition import IMAGE, IMAGE_ENVIRONMENT, Service, service, services
from tests.deploy.dockerfile import DEPLOY, ROOT

CAMERAS = tomllib.loads((DEPLOY / "cameras" / "cameras.toml").read_text())
CAMERAS_PORT = CamerasConfig.model_fields["metrics_port"].default
OURS = [one for one in services() if one.is_longtake]
WORKERS = [one for one in OURS if "worker" in one.definition["command"]]


@pytest.mark.parametrize("one", OURS, ids=lambda one: one.name)
def test_its_command_is_one_of_ours_and_would_not_be_with_another_flag(one: Service) -> None:
    command = one.definition["command"]
    assert refusal(command) is None
    assert "No such option: --slots" in str(refusal([*command, "--slots", "1"]))
    assert "no such command" in str(refusal(["no", *command]))


def test_the_workers_accept_their_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WORKERS[0].environment.items():
        monkeypatch.setenv(name, value)
    settings = load_config(None, {})
    assert settings.bootstrap == "kafka:19092"
    assert settings.metrics_host == "0.0.0.0"  # noqa: S104 - within the container


def test_the_cameras_accept_their_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in service("cameras").environment.items():
        monkeypatch.setenv(name, value)
    settings = load_cameras(DEPLOY / "cameras" / "cameras.toml", {})
    assert settings.bootstrap == "kafka:19092"
    assert settings.metrics_host == "0.0.0.0"  # noqa: S104 - within the container
    assert list(settings.camera) == list(CAMERAS["camera"])


def test_every_service_has_time_to_end_its_work() -> None:
    ours = [one for one in services() if one.is_longtake]
    assert {one.definition["stop_grace_period"] for one in ours} == {"15s"}


def test_every_worker_has_its_own_slot() -> None:
    assert len(WORKERS) == 2
    for one in WORKERS:
        assert one.definition["command"] == ["worker", "--slot", one.name]
        assert one.definition["restart"] == "always"


def test_every_expected_stream_is_a_camera() -> None:
    for one in WORKERS:
        assert json.loads(one.environment["LONGTAKE_EXPECTED_STREAMS"]) == list(CAMERAS["camera"])


def test_every_camera_replays_a_clip_that_is_in_the_image() -> None:
    source, target = next(c.split() for c in IMAGE.arguments("COPY") if "samples" in c)
    urls = [camera["url"] for camera in CAMERAS["camera"].values()]
    clips = [ROOT / source / Path(url).relative_to(target) for url in urls]
    assert sorted(clips) == sorted((ROOT / "pipeline" / "samples").glob("*.mp4"))
    assert CAMERAS["defaults"]["loop"] is True


def test_the_cameras_file_is_where_the_command_looks_for_it() -> None:
    (mount,) = [m for m in service("cameras").mounts if m.path is not None]
    assert service("cameras").definition["command"][-1] == f"{mount.target}/cameras.toml"
    assert mount.path == DEPLOY / "cameras"


def test_the_health_check_of_the_cameras_uses_their_own_port() -> None:
    *_, code = service("cameras").definition["healthcheck"]["test"]
    compile(code, "healthcheck", "exec")
    assert f":{CAMERAS_PORT}/healthz" in code
    assert str(CAMERAS_PORT) in IMAGE.arguments("EXPOSE")[0].split()


def test_prometheus_scrapes_our_default_ports() -> None:
    port = WorkerConfig.model_fields["metrics_port"].default
    for name, wanted in {"workers.yml": port, "cameras.yml": CAMERAS_PORT}.items():
        (group,) = yaml.safe_load((DEPLOY / "targets" / name).read_text())
        assert {target.partition(":")[2] for target in group["targets"]} == {str(wanted)}


@pytest.mark.parametrize("one", OURS, ids=lambda one: one.name)
def test_its_file_system_is_read_only_except_for_its_volumes(one: Service) -> None:
    assert (one.definition["read_only"], one.definition["cap_drop"]) == (True, ["ALL"])
    assert one.definition["security_opt"] == ["no-new-privileges:true"]
    assert {mount.target for mount in one.mounts if mount.mode != "ro"} <= set(
        IMAGE.arguments("VOLUME")
    )


def test_everything_that_is_kept_is_in_a_volume() -> None:
    (kept,) = IMAGE.arguments("VOLUME")
    assert Path(CAMERAS["spool"]).is_relative_to(kept)
    assert Path(IMAGE_ENVIRONMENT["LONGTAKE_CACHE"]).is_relative_to(kept)
    for one in [*WORKERS, service("cameras")]:
        assert kept in {mount.target for mount in one.mounts}


def commands_in(page: Path) -> list[list[str]]:
    """Return the longtake commands in a page, Dockerfile or compose file, in a container or not."""
    lines = re.findall(
        r"(?:^|`|#   )((?:docker|longtake) [^`\n#]+)", page.read_text(), re.MULTILINE
    )
    words = [shlex.split(line) for line in lines]
    return [w[w.index("longtake") + 1 :] for w in words if "longtake" in w and "build" not in w]


@pytest.mark.parametrize("name", ["docs/deploy.md", "deploy/Dockerfile.cpu"])
def test_the_commands_that_are_shown_are_ours(name: str) -> None:
    commands = commands_in(ROOT / name)
    assert commands
    assert [refused for words in commands if (refused := refusal(words))] == []
