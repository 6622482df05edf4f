"""The folder of a secured local Kafka: made once, used again, renewed in time, and never shared."""

import datetime as dt
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from pipeline.broker.kafka.privileges import Role
from pipeline.config import load_config
from pipeline.connection import SecurityProtocol
from pipeline.errors import LocalKafkaError
from pipeline.local.secure.client_files import write_client_files
from pipeline.local.secure.secure_folder import SecureFolder

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


@contextmanager
def opened(path: Path, *, days: int = 0) -> Iterator[SecureFolder]:
    """Claim the folder, some days after it was made."""
    folder = SecureFolder(path, now=lambda: NOW + dt.timedelta(days=days))
    try:
        yield folder
    finally:
        folder.close()


def contents(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    with opened(path):
        return path


def test_everything_in_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with opened(tmp_path / "users") as folder:
            write_client_files(folder, "127.0.0.1:1", "127.0.0.1:2")
    finally:
        os.umask(before)
    modes = {
        (path.is_dir(), stat.S_IMODE(path.stat().st_mode))
        for path in (folder.path, *folder.path.rglob("*"))
    }
    assert modes == {(True, 0o700), (False, 0o600)}


def test_a_second_start_changes_nothing(made: Path) -> None:
    before = contents(made)
    with opened(made, days=300):
        assert contents(made) == before


def test_certificates_near_their_end_are_renewed_by_the_same_authority(made: Path) -> None:
    before = contents(made)
    with opened(made, days=340):
        changed = {name for name, content in contents(made).items() if before[name] != content}
    assert changed == {f"{role}.pem" for role in Role} | {"cluster/broker.pem", "cluster/admin.pem"}


def test_an_authority_near_its_end_is_renewed_with_all_that_it_has_issued(made: Path) -> None:
    before = contents(made)
    with opened(made, days=3300) as folder:
        after = contents(made)
        ca = x509.load_pem_x509_certificate(folder.ca.read_bytes())
    pems = {name for name in before if name.endswith(".pem")}
    assert {name for name in pems if before[name] == after[name]} == set()
    for name in pems - {"ca.pem", "cluster/ca.pem"}:
        x509.load_pem_x509_certificate(
            after[name][after[name].find(b"-----BEGIN CERT") :]
        ).verify_directly_issued_by(ca)


def test_a_certificate_of_another_authority_is_replaced(made: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "others") as others:
        foreign = others.identity(Role.CAMERA).read_bytes()
    (made / "camera.pem").write_bytes(foreign)
    with opened(made) as folder:
        assert folder.identity(Role.CAMERA).read_bytes() != foreign


def test_a_password_that_its_user_has_replaced_counts(made: Path) -> None:
    (made / "camera.password").write_text("chosen-by-hand\n")
    with opened(made) as folder:
        assert folder.password(Role.CAMERA) == "chosen-by-hand"


@pytest.mark.parametrize(
    "wrong", ["", "short", 'with "quotes" in it', "back\\slash!", "two\nlines!"]
)
def test_what_cannot_be_a_password_is_named(made: Path, wrong: str) -> None:
    (made / "camera.password").write_text(wrong)
    with opened(made) as folder, pytest.raises(LocalKafkaError, match=r"camera\.password holds no"):
        folder.password(Role.CAMERA)


@pytest.mark.parametrize("name", ["cluster/ca.pem", "camera.pem"])
def test_a_damaged_key_is_named(made: Path, name: str) -> None:
    (made / name).write_bytes(b"no key\n")
    with pytest.raises(LocalKafkaError, match=f"{name} holds no key with its certificate"):
        SecureFolder(made)


def test_a_folder_with_files_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "camera.toml").write_text("mine")
    with pytest.raises(LocalKafkaError, match="name a new folder"):
        SecureFolder(tmp_path)
    assert contents(tmp_path) == {"camera.toml": b"mine"}


def test_a_folder_that_others_can_use_is_refused(made: Path) -> None:
    made.chmod(0o750)
    with pytest.raises(LocalKafkaError, match=f"chmod 700 {made}"):
        SecureFolder(made)


@pytest.mark.parametrize("name", ["camera.password", "camera.pem", "cluster/ca.pem", "ca.pem"])
def test_a_file_that_others_can_use_is_refused(made: Path, name: str) -> None:
    (made / name).chmod(0o644)
    with pytest.raises(LocalKafkaError, match=f"chmod 600 {made / name}"):
        SecureFolder(made)


@pytest.mark.parametrize("name", ["camera.password", "cluster/broker.pem", "longtake-secure"])
def test_neither_a_link_nor_a_fifo_is_followed(made: Path, name: str, tmp_path: Path) -> None:
    for trap in (os.mkfifo, lambda path: path.symlink_to(tmp_path / "elsewhere")):
        (made / name).unlink()
        trap(made / name)
        with pytest.raises(LocalKafkaError, match=r"cannot be (read|used)"):
            SecureFolder(made)


def test_two_at_once_cannot_use_it(made: Path) -> None:
    with opened(made), pytest.raises(LocalKafkaError, match="in use by another local Kafka"):
        SecureFolder(made)


@pytest.mark.parametrize("name", ["a}b", "a\nb", "a\x7fb"])
def test_a_path_that_no_setting_can_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LocalKafkaError, match="its path must be printable and without"):
        SecureFolder(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["users", "Käfer", 'quo"te', "back\\slash", "a ${b", "$HOME"])
@pytest.mark.parametrize("role", Role)
def test_the_files_of_clients_are_what_commands_read(tmp_path: Path, name: str, role: Role) -> None:
    with opened(tmp_path / name) as folder:
        write_client_files(folder, "127.0.0.1:1", "127.0.0.1:2")
        by_password = load_config(None, {"kafka": folder.client_file(role)}).connection
        by_certificate = load_config(None, {"kafka": folder.mtls_file(role)}).connection
        login = by_password.security.login
        assert login is not None
        assert login.password is not None
        assert (login.username, login.password.read()) == (role.value, folder.password(role))
    assert by_certificate.security.protocol is SecurityProtocol.SSL
    assert by_certificate.security.tls.certificate == folder.identity(role)
    assert by_password.security.tls.ca == by_certificate.security.tls.ca == folder.ca


def test_without_the_package_its_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "pipeline.local.secure.made_certificates", raising=False)
    with pytest.raises(LocalKafkaError, match=r"cryptography .*pip install '\.\[local\]'"):
        SecureFolder(tmp_path / "users")
