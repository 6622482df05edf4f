"""Plans are made once for a machine, and never used on another."""

import errno
import fcntl
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.errors import BuildError
from engines.model.bundle import Bundle
from engines.tensorrt.parts import find_machine
from engines.tensorrt.plans import PlanCache
from tests.engines.bundles import frames, tiny

pytestmark = pytest.mark.usefixtures("doubles")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny(tmp_path / "tiny")


def found(bundle: Bundle, folder: Path, *, half: bool = False) -> Mapping[str, str]:
    """Open an engine, run it, close it; say how it came to its plans."""
    from engines.tensorrt.engine import TensorRtEngine

    machine = find_machine()
    engine = TensorRtEngine(bundle, machine, PlanCache(folder), half=half, progress=lambda *_: None)
    engine.reserve(1)
    logits, _ = engine.step(engine.encode(frames(1)), [0], [0])
    facts = engine.facts
    engine.close()
    assert np.isfinite(logits).all()
    assert (facts.build_s == 0) == (set(facts.plans.values()) == {"hit"})
    return facts.plans


def test_a_second_start_finds_what_the_first_has_made(bundle: Bundle, tmp_path: Path) -> None:
    assert found(bundle, tmp_path) == {"encoder": "miss", "step": "miss"}
    assert found(bundle, tmp_path) == {"encoder": "hit", "step": "hit"}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("DOUBLE_GPU", "Another GPU"),
        ("DOUBLE_CAPABILITY", "9.0"),
        ("DOUBLE_MULTIPROCESSORS", "14"),
        ("DOUBLE_MEMORY_BYTES", str(4 << 30)),
        ("DOUBLE_TENSORRT_VERSION", "11.5.0.1"),
    ],
)
def test_another_machine_gets_plans_of_its_own(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    found(bundle, tmp_path)
    monkeypatch.setenv(setting, value)
    assert set(found(bundle, tmp_path).values()) == {"miss"}
    monkeypatch.delenv(setting)
    assert set(found(bundle, tmp_path).values()) == {"hit"}


def test_a_newer_driver_takes_the_same_plans(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(bundle, tmp_path)
    monkeypatch.setenv("DOUBLE_DRIVER", "13010")
    assert set(found(bundle, tmp_path).values()) == {"hit"}


def test_half_precision_has_an_encoder_of_its_own_and_the_same_step(
    bundle: Bundle, tmp_path: Path
) -> None:
    found(bundle, tmp_path)
    assert found(bundle, tmp_path, half=True) == {"encoder": "miss", "step": "hit"}


def test_another_bundle_gets_plans_of_its_own(bundle: Bundle, tmp_path: Path) -> None:
    found(bundle, tmp_path)
    other = tiny(tmp_path / "other", cell="gru", seed=1)
    assert found(other, tmp_path) == {"encoder": "miss", "step": "miss"}
    assert found(bundle, tmp_path) == {"encoder": "hit", "step": "hit"}


def test_what_one_build_has_measured_the_next_one_knows(bundle: Bundle, tmp_path: Path) -> None:
    found(bundle, tmp_path)
    (kept,) = tmp_path.glob("*.timings")
    assert b'"Conv"' in kept.read_bytes()  # of the encoder, which was first
    assert b'"Gather"' in kept.read_bytes()  # of the step


def test_a_plan_of_another_gpu_under_our_name_is_made_again(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    monkeypatch.setenv("DOUBLE_GPU", "Another GPU")
    found(bundle, theirs)
    monkeypatch.delenv("DOUBLE_GPU")
    ours.mkdir()
    for path in theirs.glob("*.json"):
        facts = json.loads(path.read_text()) | {"gpu": find_machine().gpu}
        del facts["plan_sha256"], facts["schema"]
        PlanCache(ours).store(facts, path.with_suffix(".plan").read_bytes())
    assert found(bundle, ours) == {"encoder": "reject", "step": "reject"}
    assert "TensorRT does not take it: " in caplog.text
    assert "the plan was made on Another GPU" in caplog.text
    assert found(bundle, ours) == {"encoder": "hit", "step": "hit"}


def test_a_plan_that_tensorrt_does_not_take_is_made_again(bundle: Bundle, tmp_path: Path) -> None:
    found(bundle, tmp_path)
    spoil(tmp_path)
    assert found(bundle, tmp_path) == {"encoder": "reject", "step": "reject"}
    assert found(bundle, tmp_path) == {"encoder": "hit", "step": "hit"}


def spoil(folder: Path) -> None:
    """Put plans there that TensorRT does not take."""
    for path in folder.glob("*.json"):
        facts = json.loads(path.read_text())
        del facts["plan_sha256"], facts["schema"]
        PlanCache(folder).store(facts, b"what an older TensorRT has made")


def test_a_refused_plan_in_a_folder_that_cannot_be_written_is_made_for_this_start(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(bundle, tmp_path)
    spoil(tmp_path)
    for name in ("unlink", "replace"):
        monkeypatch.setattr(Path, name, read_only)
    for _ in range(2):
        assert found(bundle, tmp_path) == {"encoder": "reject", "step": "reject"}


def test_where_files_cannot_be_locked_plans_are_found_all_the_same(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(fcntl, "flock", read_only)
    assert found(bundle, tmp_path) == {"encoder": "miss", "step": "miss"}
    assert found(bundle, tmp_path) == {"encoder": "hit", "step": "hit"}
    assert "cannot be locked" in caplog.text


def read_only(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def test_a_folder_that_cannot_be_made_keeps_nothing_and_stops_nobody(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "plans"
    caplog.set_level(logging.WARNING)
    assert set(found(bundle, folder).values()) == {"miss"}
    assert "each start builds" in caplog.text


def test_what_tensorrt_cannot_read_is_quoted(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"cannot read the graph: .*ModelProto"):
        found(replace(bundle, encoder=b"junk"), tmp_path)
