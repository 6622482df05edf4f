"""A bundle that has passed is not compared again; whatever else could differ, is."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import engines.checks.verify
import engines.model.graph
from engines.errors import BundleError, VerificationError
from engines.load import load_engine
from engines.model import verdicts
from engines.model.bundle import Bundle, load_bundle, write_bundle
from engines.model.ports import Port
from engines.model.verdicts import Verdicts
from tests.engines.bundles import tiny, write_tiny


class Comparisons:
    """Stands for `verify`, and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.wrong = False

    def __call__(self, engine: object, bundle: Bundle, *, precision: object) -> None:
        self.count += 1
        if self.wrong:
            raise VerificationError("wrong")


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> Comparisons:
    made = Comparisons()
    monkeypatch.setattr(engines.checks.verify, "verify", made)
    return made


def load(bundle: Bundle, folder: Path, threads: int = 1) -> None:
    load_engine("onnxruntime", bundle, threads, verdicts=Verdicts(folder)).close()


def test_what_has_passed_is_not_compared_again(tmp_path: Path, comparisons: Comparisons) -> None:
    bundle = tiny(tmp_path)
    load(bundle, tmp_path)
    load(bundle, tmp_path)
    assert comparisons.count == 1
    load_engine("onnxruntime", bundle, 1).close()  # who brings no verdicts has it compared
    assert comparisons.count == 2


def test_what_has_failed_is_compared_again(tmp_path: Path, comparisons: Comparisons) -> None:
    bundle = tiny(tmp_path)
    comparisons.wrong = True
    for _ in range(2):
        with pytest.raises(VerificationError):
            load(bundle, tmp_path)
    assert comparisons.count == 2


def test_other_threads_another_bundle_processor_or_library_are_compared(
    tmp_path: Path, comparisons: Comparisons, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tiny(tmp_path)
    load(bundle, tmp_path)
    load(bundle, tmp_path, threads=2)
    (tmp_path / "other").mkdir()
    load(tiny(tmp_path / "other", seed=1), tmp_path)
    assert comparisons.count == 3
    monkeypatch.setattr(verdicts, "CPU_INFO", tmp_path / "nothing")
    load(bundle, tmp_path)
    monkeypatch.setattr(verdicts, "version", lambda library: f"{library} of tomorrow")
    load(bundle, tmp_path)
    monkeypatch.setattr(verdicts, "_own_code", lambda: "another comparison")
    load(bundle, tmp_path)
    assert comparisons.count == 6


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


def test_graphs_that_have_passed_are_not_checked_again_and_those_that_failed_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    check = engines.model.graph.check_graph

    def counted(
        content: bytes, where: str, inputs: Sequence[Port], outputs: Sequence[Port]
    ) -> None:
        checked.append(where)
        check(content, where, inputs, outputs)

    monkeypatch.setattr(engines.model.graph, "check_graph", counted)
    folder, known = write_tiny(tmp_path / "tiny"), Verdicts(tmp_path)
    assert load_bundle(folder, verdicts=known) == load_bundle(folder, verdicts=known)
    assert len(checked) == 2  # the encoder and the head, once each
    broken = write_bundle(
        tmp_path / "broken",
        json.loads((folder / "model.json").read_text()) | {"files": None},
        encoder=b"no graph",
        head=(folder / "head.onnx").read_bytes(),
    )
    for _ in range(2):
        with pytest.raises(BundleError, match="not an ONNX model"):
            load_bundle(broken, verdicts=known)


def test_a_folder_that_may_not_be_looked_into_only_forgets(
    tmp_path: Path, comparisons: Comparisons, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *how: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    bundle = tiny(tmp_path)
    monkeypatch.setattr(Path, "open", refuse)
    load(bundle, tmp_path)
    load(bundle, tmp_path)
    assert comparisons.count == 2


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


def test_a_folder_that_cannot_be_written_only_forgets(
    tmp_path: Path, comparisons: Comparisons
) -> None:
    bundle = tiny(tmp_path)
    (tmp_path / "file").touch()
    load(bundle, tmp_path / "file")
    load(bundle, tmp_path / "file")
    assert comparisons.count == 2
