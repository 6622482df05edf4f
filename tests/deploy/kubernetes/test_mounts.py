"""Folders as a kubelet mounts them: volumes that belong to a group too, Secrets behind links."""

from pathlib import Path

import pytest

from engines.model.verdicts import Verdicts
from pipeline.secrets import filled
from tests.deploy.kubernetes.mounted import OF_A_KUBELET, MountedFolder


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "volume"
    folder.mkdir()
    folder.chmod(OF_A_KUBELET)
    return folder


def remembers(cache: Path) -> bool:
    Verdicts(cache).remember("a bundle")
    return Verdicts(cache).passed("a bundle")


def test_a_cache_in_a_folder_of_a_volume_is_trusted_and_the_volume_itself_is_not(
    volume: Path,
) -> None:
    assert remembers(volume / "cache")
    assert not remembers(volume)


def test_a_cache_is_trusted_by_the_next_pod_with_the_same_volume(volume: Path) -> None:
    assert remembers(volume / "cache")
    volume.chmod(OF_A_KUBELET)  # all that a kubelet does under fsGroupChangePolicy OnRootMismatch
    assert Verdicts(volume / "cache").passed("a bundle")


def test_a_secret_is_read_anew_when_a_kubelet_exchanges_it(tmp_path: Path) -> None:
    secret = MountedFolder(tmp_path)
    secret.update({"password": "first"})
    place = f"${{file:{tmp_path / 'password'}}}"
    assert filled(place) == "first"
    secret.update({"password": "second"})
    assert filled(place) == "second"
