"""Plans are made once for a machine, and never used on another."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.bundle import Bundle
from engines.errors import BuildError
from engines.tensorrt.parts import find_machine
from engines.tensorrt.plans import PlanCache, key_of
from tests.engines.bundles import frames, tiny

pytestmark = pytest.mark.usefixtures("doubles")
FACTS = {"gpu": "one", "graph_sha256": "ab"}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny(tmp_path / "tiny")


def found(bundle: Bundle, folder: Path, *, half: bool = False) -> Mapping[str, str]:
    """Open an engine, run it, close it; say how it came to its plans."""
    from engines.tensorrt.engine import TensorRtEngine

    machine = find_machine()
    engine = TensorRtEngine(bundle, machine, PlanCache(folder), half=half, told=lambda *_: None)
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


def test_a_plan_that_tensorrt_does_not_take_is_made_again(bundle: Bundle, tmp_path: Path) -> None:
    found(bundle, tmp_path)
    cache = PlanCache(tmp_path)
    for path in tmp_path.glob("*.json"):
        facts = json.loads(path.read_text())
        del facts["plan_sha256"]
        cache.store(facts, b"what an older TensorRT has made")
    assert found(bundle, tmp_path) == {"encoder": "reject", "step": "reject"}
    assert found(bundle, tmp_path) == {"encoder": "hit", "step": "hit"}


def test_a_damaged_plan_is_as_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = PlanCache(tmp_path)
    cache.store(FACTS, b"plan")
    assert cache.load(FACTS) == b"plan"
    cache.path(FACTS).write_bytes(b"plam")
    assert cache.load(FACTS) is None
    assert "is damaged and is made again" in caplog.text


def test_a_plan_under_the_name_of_other_facts_is_as_none(tmp_path: Path) -> None:
    cache, other = PlanCache(tmp_path), FACTS | {"gpu": "two"}
    cache.store(FACTS, b"plan")
    for kind in ("plan", "json"):
        (tmp_path / f"{key_of(FACTS)}.{kind}").rename(tmp_path / f"{key_of(other)}.{kind}")
    assert cache.load(other) is None


def test_the_folder_is_the_owners_alone(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path / "plans")
    with cache.locked(FACTS):
        pass
    assert (tmp_path / "plans").stat().st_mode & 0o777 == 0o700


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
