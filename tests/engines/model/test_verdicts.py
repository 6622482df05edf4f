"""A bundle that has passed is not compared again; whatever else could differ, is."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from engines.errors import BundleError, VerificationError
from engines.load import load_engine
from engines.model import verdicts
from engines.model.bundle import Bundle, load_bundle
from engines.model.verdicts import Verdicts
from tests.engines.bundles import tiny
from tests.engines.hostile import external, fifo, folder, head_with


class Checks:
    """Stands for the child process that checks a bundle, and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.wrong = False

    def __call__(self, bundle: Bundle, *, threads: int) -> None:
        self.count += 1
        if self.wrong:
            raise VerificationError("wrong")


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    made = Checks()
    monkeypatch.setattr("engines.load.check_in_child", made)
    return made


def load(bundle: Bundle, folder: Path, threads: int = 1) -> None:
    load_engine("onnxruntime", bundle, threads, verdicts=Verdicts(folder)).close()


def test_what_has_passed_is_not_compared_again(tmp_path: Path, checks: Checks) -> None:
    bundle = tiny(tmp_path)
    load(bundle, tmp_path)
    load(bundle, tmp_path)
    assert checks.count == 1
    load_engine("onnxruntime", bundle, 1).close()  # who brings no verdicts has it compared
    assert checks.count == 2


def test_what_has_failed_is_compared_again(tmp_path: Path, checks: Checks) -> None:
    bundle = tiny(tmp_path)
    checks.wrong = True
    for _ in range(2):
        with pytest.raises(VerificationError):
            load(bundle, tmp_path)
    assert checks.count == 2


def test_other_threads_another_bundle_processor_or_library_are_compared(
    tmp_path: Path, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tiny(tmp_path)
    load(bundle, tmp_path)
    load(bundle, tmp_path, threads=2)
    (tmp_path / "other").mkdir()
    load(tiny(tmp_path / "other", seed=1), tmp_path)
    assert checks.count == 3
    monkeypatch.setattr(verdicts, "CPU_INFO", tmp_path / "nothing")
    load(bundle, tmp_path)
    monkeypatch.setattr(verdicts, "version", lambda library: f"{library} of tomorrow")
    load(bundle, tmp_path)
    monkeypatch.setattr(verdicts, "_own_code", lambda: "another comparison")
    load(bundle, tmp_path)
    assert checks.count == 6


@pytest.mark.parametrize(
    "module", ["table.py", "checks/verify.py", "model/graph.py", "tensorrt/rows.py"]
)
def test_a_change_of_the_code_that_decides_a_check_has_it_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    code = tmp_path / "engines" / module
    code.parent.mkdir(parents=True)
    code.write_text("before")
    monkeypatch.setattr(verdicts, "__file__", str(tmp_path / "engines" / "model" / "verdicts.py"))
    known = Verdicts(tmp_path)
    known.remember("engine")
    assert known.passed("engine")
    code.write_text("after")
    assert not known.passed("engine")


def test_a_folder_that_may_not_be_looked_into_only_forgets(
    tmp_path: Path, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object, *how: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    bundle = tiny(tmp_path)
    with monkeypatch.context() as closed:
        closed.setattr("engines.trusted_files.os.open", refuse)
        load(bundle, tmp_path)
        load(bundle, tmp_path)
    assert checks.count == 2


# whose verdicts are believed


@pytest.fixture
def passed(tmp_path: Path) -> Path:
    """A cache folder with a verdict."""
    Verdicts(tmp_path / "cache").remember("graphs", "digest")
    return tmp_path / "cache"


def verdict_in(cache: Path) -> Path:
    (file,) = (cache / "verified").iterdir()
    return file


def test_a_cache_is_for_its_owner_alone(passed: Path) -> None:
    folders = (passed, passed / "verified")
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o700, 0o700]
    assert Verdicts(passed).passed("graphs", "digest")


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
@pytest.mark.parametrize("part", ["cache", "folder", "file"])
def test_a_verdict_that_others_can_write_is_not_believed_and_said_once(
    passed: Path, caplog: pytest.LogCaptureFixture, part: str, mode: int
) -> None:
    path = {"cache": passed, "folder": passed / "verified", "file": verdict_in(passed)}[part]
    path.chmod(mode)
    known = Verdicts(passed)
    assert [known.passed("graphs", "digest") for _ in range(2)] == [False, False]
    (line,) = caplog.messages
    assert f"other users may write {path} (mode {mode:o})" in line
    assert "LONGTAKE_CACHE names a folder, which must be this user's own" in line


def test_a_verdict_of_another_user_is_not_believed(
    passed: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ours, stat_of = passed.stat().st_uid, os.fstat
    monkeypatch.setattr(os, "geteuid", lambda: ours + 1)
    monkeypatch.setattr(Path, "stat", lambda _: owned_by(ours + 1))  # the cache folder itself
    monkeypatch.setattr(os, "fstat", lambda file: owned_by(ours + 2, stat_of(file).st_mode))
    assert not Verdicts(passed).passed("graphs", "digest")
    assert f"belongs to user {ours + 2}, not to this one ({ours + 1})" in caplog.text


def owned_by(user: int, mode: int = 0o40700) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, user, 0, 0, 0, 0, 0))


def test_a_verdict_of_root_is_believed(passed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image can bring them along."""
    monkeypatch.setattr(os, "geteuid", lambda: passed.stat().st_uid + 1)
    monkeypatch.setattr("engines.trusted_files.ROOT", passed.stat().st_uid)
    assert Verdicts(passed).passed("graphs", "digest")


@pytest.mark.parametrize("part", ["folder", "file"])
def test_a_link_to_a_verdict_is_not_followed(passed: Path, part: str) -> None:
    path = passed / "verified" if part == "folder" else verdict_in(passed)
    aside = passed / "aside"
    path.rename(aside)
    path.symlink_to(aside)
    assert not Verdicts(passed).passed("graphs", "digest")


def test_a_fifo_as_a_verdict_is_not_waited_for(passed: Path) -> None:
    fifo(verdict_in(passed))
    assert not Verdicts(passed).passed("graphs", "digest")


def test_nothing_is_written_into_a_folder_of_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    Verdicts(tmp_path / "shared").remember("graphs", "digest")
    assert list((tmp_path / "shared").iterdir()) == []
    assert "each start checks its bundle" in caplog.text


def test_a_verdict_lets_no_graph_pass_that_reads_other_files(tmp_path: Path) -> None:
    path, known = folder(tmp_path / "evil", head_model=head_with(external("/etc/passwd"))), None
    digest = hashlib.sha256((path / "model.json").read_bytes()).hexdigest()
    known = Verdicts(tmp_path)
    known.remember("engine", digest, "onnxruntime", "1")
    with pytest.raises(BundleError, match="is in another file"):
        load_engine("onnxruntime", load_bundle(path), 1, verdicts=known)


@pytest.mark.parametrize(("content", "passed"), [(b"", True), (b"1\n", True), (b"2\n", False)])
def test_a_verdict_of_the_release_before_counts_and_of_a_newer_schema_does_not(
    tmp_path: Path, content: bytes, *, passed: bool
) -> None:
    known = Verdicts(tmp_path)
    known.remember("graphs", "digest")
    (file,) = (tmp_path / "verified").iterdir()
    file.write_bytes(content)
    assert known.passed("graphs", "digest") is passed


def test_a_changed_check_makes_every_verdict_void(tmp_path: Path) -> None:
    """The module that compares and the one that reads graphs are among those that count."""
    covered = {module.name for module in verdicts.own_modules()}
    assert {"verify.py", "graph.py", "onnxrt.py", "table.py"} <= covered
    assert "recipe.py" not in covered  # training decides nothing here


def test_a_user_without_a_home_has_a_place_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as a bare user id; its worker must start nevertheless."""

    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    assert Verdicts.of({}) is None


def test_a_folder_that_cannot_be_written_only_forgets(tmp_path: Path, checks: Checks) -> None:
    bundle = tiny(tmp_path)
    (tmp_path / "file").touch()
    load(bundle, tmp_path / "file")
    load(bundle, tmp_path / "file")
    assert checks.count == 2
