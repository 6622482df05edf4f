"""TensorRT for RTX: a GPU takes plans made elsewhere, from a folder that only its owner writes."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engines.errors import EngineUnavailableError
from engines.tensorrt.parts import capability_of, elsewhere, find_machine, sm
from engines.tensorrt.plans import GivenPlans, PlanCache
from tests.cli.commands import environment
from tests.engines.bundles import write_tiny
from tests.engines.tensorrt.one_builder import FACTS


class Rtx:
    """The command with what the extra `tensorrt-rtx` installs, and a GPU, doubled."""

    def __init__(self, folder: Path) -> None:
        self.bundle, self.plans = write_tiny(folder / "tiny"), folder / "given"
        self._cache = folder / "cache"

    def run(self, *arguments: str | Path, **settings: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "doubles.command", "engine", *map(str, arguments)]
        extra = {"DOUBLE_LIBRARY": "tensorrt_rtx", "DOUBLE_PYCUDA": "no"}
        env = environment(LONGTAKE_CACHE=str(self._cache), **extra, **settings)
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    def build(self, targets: str) -> str:
        ran = self.run("build", self.bundle, "--for", targets, "--plans", self.plans)
        assert ran.returncode == 0, ran.stderr
        return ran.stderr

    def verify(self, *options: str | Path, **settings: str) -> Any:
        ran = self.run(
            "verify",
            self.bundle,
            "--engine",
            "tensorrt",
            "--frames",
            "10",
            "--json",
            *options,
            **settings,
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def kept(self, kind: str) -> list[Path]:
        return list((self._cache / "plans").glob(f"*.{kind}"))


@pytest.fixture
def rtx(doubles: None, tmp_path: Path) -> Rtx:
    del doubles
    return Rtx(tmp_path)


def test_a_gpu_takes_plans_made_elsewhere_and_builds_none(rtx: Rtx) -> None:
    said = rtx.build("sm89,sm120")
    for gpu in ("sm89", "sm120"):
        assert f"encoder for {gpu}: " in said
        assert f"step for {gpu}: " in said
    found = rtx.verify("--plans", rtx.plans, DOUBLE_CAPABILITY="12.0")
    assert found["machine"]["library"] == "tensorrt_rtx"
    assert found["largest_difference"]["alone"] < 0.01
    assert found["device"]["plans"] == {"encoder": "hit", "step": "hit"}
    assert found["device"]["captured"] > 0
    assert (rtx.kept("plan"), len(rtx.kept("compiled"))) == ([], 2)


def test_a_gpu_that_they_are_not_for_builds_its_own_and_finds_them_again(rtx: Rtx) -> None:
    rtx.build("sm89")
    for how in ("miss", "hit"):
        found = rtx.verify("--plans", rtx.plans, DOUBLE_CAPABILITY="8.6")
        assert set(found["device"]["plans"].values()) == {how}


def test_a_folder_that_others_may_write_ends_the_start_with_the_reason(rtx: Rtx) -> None:
    rtx.plans.mkdir()
    rtx.plans.chmod(0o777)
    ran = rtx.run("verify", rtx.bundle, "--engine", "tensorrt", "--plans", rtx.plans)
    assert ran.returncode == 33
    assert f"plans are wanted from {rtx.plans}, which is not used: other users may" in ran.stderr


def test_plans_that_cannot_be_kept_are_an_error(rtx: Rtx) -> None:
    rtx.plans.mkdir()
    rtx.plans.chmod(0o777)
    ran = rtx.run("build", rtx.bundle, "--for", "sm89", "--plans", rtx.plans)
    assert ran.returncode == 33
    assert "cannot be kept" in ran.stderr


def test_given_plans_are_read_as_they_were_written(tmp_path: Path) -> None:
    PlanCache(tmp_path).store(FACTS, b"plan")
    given = GivenPlans(tmp_path)
    assert given.load(FACTS) == b"plan"
    assert given.load({**FACTS, "gpu": "two"}) is None
    PlanCache(tmp_path).path(FACTS).write_bytes(b"plam")
    with pytest.raises(EngineUnavailableError, match="is damaged: copy it again"):
        given.load(FACTS)


@pytest.mark.parametrize("kind", ["plan", "json"])
def test_a_given_plan_that_others_may_write_is_not_loaded(tmp_path: Path, kind: str) -> None:
    PlanCache(tmp_path).store(FACTS, b"plan")
    PlanCache(tmp_path).path(FACTS).with_suffix(f".{kind}").chmod(0o666)
    with pytest.raises(EngineUnavailableError, match="other users may write"):
        GivenPlans(tmp_path).load(FACTS)


def test_given_plans_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailableError, match="No such file"):
        GivenPlans(tmp_path / "nowhere")


@pytest.fixture
def only_rtx(doubles: None, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A machine on which TensorRT itself is not installed."""
    del doubles
    known = SimpleNamespace(__members__={"NONE": 0, "CURRENT": 1, "SM89": 89, "SM120": 120})
    rtx = SimpleNamespace(
        __version__="1.7.1.116", ComputeCapability=known, get_nv_onnx_parser_version=lambda: 200
    )
    monkeypatch.delitem(sys.modules, "tensorrt")
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", rtx)
    return rtx


def test_without_tensorrt_that_for_rtx_is_taken_and_named(
    only_rtx: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    from engines.load import choose

    caplog.set_level(logging.INFO)
    assert choose() == "tensorrt"
    assert caplog.messages == [f"engine auto: tensorrt_rtx {only_rtx.__version__}, on Double GPU"]
    assert find_machine().library == "tensorrt_rtx"  # again, though `tensorrt` can be imported now


@pytest.mark.usefixtures("only_rtx")
def test_a_gpu_that_it_has_no_kernels_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOUBLE_CAPABILITY", "9.0")
    wanted = r"compute capability 9\.0, and TensorRT for RTX .* for 8\.9, 12\.0 alone: .*tensorrt\]"
    with pytest.raises(EngineUnavailableError, match=wanted):
        find_machine()


@pytest.mark.usefixtures("only_rtx")
def test_plans_are_not_made_for_a_gpu_that_it_does_not_know() -> None:
    assert elsewhere((12, 0)).gpu == "any GPU of sm120"
    with pytest.raises(EngineUnavailableError, match="for sm90; it knows sm89, sm120"):
        elsewhere((9, 0))


def test_one_that_is_too_old_is_refused(only_rtx: SimpleNamespace) -> None:
    only_rtx.__version__ = "1.6.2"
    with pytest.raises(EngineUnavailableError, match=r"RTX 1\.6\.2 is too old, 1\.7 or newer"):
        find_machine()


@pytest.mark.parametrize(("name", "read"), [("sm75", (7, 5)), ("SM121", (12, 1))])
def test_capabilities_are_read_as_they_are_written(name: str, read: tuple[int, int]) -> None:
    assert capability_of(name) == read
    assert sm(read) == name.lower()


@pytest.mark.parametrize("name", ["", "89", "sm8", "sm8.9", "sm1234", "ampere"])
def test_what_is_no_capability_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"write sm89 for 8\.9"):
        capability_of(name)
