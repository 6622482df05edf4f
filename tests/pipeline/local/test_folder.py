"""The data folder of the local Kafka: one owner, one cluster, and kept where a user named it."""

import os
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import LocalKafkaError
from pipeline.local.folder import DataFolder


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that stands for `/tmp`."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_behind() -> Path:
    """A temporary folder whose owner was killed."""
    folder = DataFolder(None)
    folder.cluster_id(1)
    folder.keep()
    folder.close()
    return folder.path


def clean_up() -> None:
    DataFolder(None).close()


def test_a_data_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    first = DataFolder(tmp_path)
    with pytest.raises(LocalKafkaError, match=f"{tmp_path} is in use"):
        DataFolder(tmp_path)
    first.close()
    DataFolder(tmp_path).close()


def test_a_temporary_folder_whose_owner_died_is_removed_by_the_next(shared: Path) -> None:
    alive, dead = DataFolder(None), left_behind()
    third = DataFolder(None)
    assert not dead.exists()
    assert set(shared.iterdir()) == {alive.path, third.path}
    alive.close()
    third.close()


def test_a_data_folder_stays_with_its_number_of_nodes(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    assert folder.cluster_id(1) == folder.cluster_id(1)
    with pytest.raises(LocalKafkaError, match=r"a cluster of 1 node\(s\), and 3"):
        folder.cluster_id(3)
    folder.close()


@pytest.mark.parametrize(
    "content",
    [
        *(b"{}", b"", b"\xff", b"[" * 200_000, b'{"cluster_id":"a","nodes":"x"}'),
        b'{"cluster_id":"a\\u001b","nodes":1}',
        b'{"cluster_id":"-","nodes":' + b"9" * 5_000 + b"}",
    ],
    ids=lambda content: repr(content[:30]),
)
def test_a_damaged_identity_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cluster.json").write_bytes(content)
    folder = DataFolder(tmp_path)
    with pytest.raises(LocalKafkaError, match=r"cluster\.json cannot be read"):
        folder.cluster_id(1)
    folder.close()


# folders that we must not remove


def test_a_folder_that_its_user_named_is_kept_whatever_its_name(shared: Path) -> None:
    named = DataFolder(shared / "longtake-kafka-mine")
    named.cluster_id(1)
    named.close()
    clean_up()
    assert (shared / "longtake-kafka-mine" / "cluster.json").exists()


@pytest.mark.parametrize("through", ["itself", "a link"])
def test_a_temporary_folder_that_a_user_named_later_is_kept(shared: Path, through: str) -> None:
    folder = left_behind()
    (shared / "link").symlink_to(folder)
    DataFolder(folder if through == "itself" else shared / "link").close()
    clean_up()
    assert (folder / "cluster.json").exists()


def test_a_renamed_temporary_folder_is_kept(shared: Path) -> None:
    renamed = left_behind().rename(shared / "longtake-kafka-rescued")
    clean_up()
    assert renamed.exists()


def test_a_copy_of_a_temporary_folder_is_kept(shared: Path) -> None:
    folder, aside = left_behind(), shared / "aside"
    folder.rename(aside)
    folder.mkdir()
    for file in aside.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    clean_up()
    assert (folder / "cluster.json").exists()


def test_a_link_to_a_temporary_folder_is_not_followed(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shared / "elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(shared / "elsewhere"))
    folder = left_behind()
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    (shared / folder.name).symlink_to(folder)
    clean_up()
    assert folder.exists()


def test_a_folder_of_another_user_is_kept(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = left_behind()
    with monkeypatch.context() as other:
        other.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
        clean_up()
    assert folder.exists()


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


TRAPS: dict[str, Callable[[Path], None]] = {
    "a FIFO": os.mkfifo,
    "a socket": make_socket,
    "a folder": Path.mkdir,
    "a link": lambda path: path.symlink_to("cluster.json"),
    "a link that leads nowhere": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("name", ["lock", "temporary"])
def test_a_trap_in_the_temporary_folder_is_passed_by(
    shared: Path, name: str, trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shared)  # a socket's path is short
    folder = left_behind()
    (folder / name).unlink()
    TRAPS[trap](folder.relative_to(shared) / name)
    clean_up()
    assert folder.exists()


def test_a_link_as_a_lock_creates_no_file_elsewhere(shared: Path) -> None:
    folder = left_behind()
    (folder / "lock").unlink()
    (folder / "lock").symlink_to(shared / "made-by-the-victim")
    clean_up()
    assert not (shared / "made-by-the-victim").exists()


@pytest.mark.parametrize("trap", TRAPS)
def test_a_foreign_entry_with_the_prefix_is_passed_by(
    shared: Path, trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shared)
    TRAPS[trap](Path("longtake-kafka-x"))
    clean_up()
    assert os.path.lexists("longtake-kafka-x")


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("name", ["lock", "cluster.json"])
def test_a_named_folder_with_a_trap_in_it_is_refused(
    tmp_path: Path, name: str, trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    TRAPS[trap](Path(name))
    with pytest.raises(LocalKafkaError, match=r"cannot be (used|read)"):
        DataFolder(tmp_path).cluster_id(1)


def test_data_folders_are_for_their_owner_alone(shared: Path) -> None:
    folders = [DataFolder(None), DataFolder(shared / "named")]
    assert [stat.S_IMODE(one.path.stat().st_mode) for one in folders] == [0o700, 0o700]
    for one in folders:
        one.close()


def test_an_existing_data_folder_is_taken_away_from_others(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir()
    for _ in range(2):
        path.chmod(0o755)
        folder = DataFolder(path)
        folder.cluster_id(1)
        folder.close()
        assert path.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_other_things_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    tmp_path.chmod(0o755)
    DataFolder(tmp_path).close()
    assert tmp_path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_named_folder_that_others_can_write_is_refused(shared: Path, mode: int) -> None:
    (shared / "open").mkdir()
    (shared / "open").chmod(mode)
    with pytest.raises(LocalKafkaError, match=f"other users may write .*mode {mode:o}"):
        DataFolder(shared / "open")
    assert list((shared / "open").iterdir()) == []


def test_a_named_folder_of_another_user_is_refused(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shared / "named").mkdir()
    monkeypatch.setattr("pipeline.local.folder.ROOT", -1)
    monkeypatch.setattr(os, "geteuid", lambda: shared.stat().st_uid + 1)
    with pytest.raises(LocalKafkaError, match="belongs to user"):
        DataFolder(shared / "named")


def test_a_folder_below_one_that_others_can_write_is_made_for_its_owner_alone(
    shared: Path,
) -> None:
    shared.chmod(0o1777)
    folder = DataFolder(shared / "below" / "named")
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    folder.close()
