"""What processes of the first schema kept on disk is read to exactly what it meant."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engines.model import verdicts
from engines.model.verdicts import Verdicts
from engines.tensorrt.plans import PlanCache, key_of
from pipeline.broker.shots import Shot
from pipeline.cameras.spool import Spool
from tests.golden.records import FIRST

ENCODER, STEP = "2882f1284374ee88c31326ea6fe63543", "0f35de116a8ca599c6f70b63e2e41ca8"
EPOCH = 1796010846


def private(kept: Path, into: Path) -> Path:
    """Copy a folder for its owner alone: a checkout's mode depends on the umask."""
    copy = shutil.copytree(kept, into / kept.name)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o700)
    return copy


# ----------------------------------------------------------------------------------------- spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    shutil.copy(FIRST / "spool.db", tmp_path / "spool.db")
    return Spool(tmp_path / "spool.db", most_bytes=1 << 20, most_us=1 << 60)


def taken(spool: Spool) -> list[tuple[int, Shot]]:
    found = []
    while (shot := spool.take()) is not None:
        found.append(shot)
    return found


def test_a_spool_knows_what_it_holds_and_numbers_on_from_there(spool: Spool) -> None:
    assert (spool.frames, spool.bytes, spool.newest) == (34, 11868, 34)
    spool.put([(35, Shot("gate", 17, EPOCH, 0, b"jpeg"))], now_us=1796010852300000)
    assert taken(spool)[-1] == (35, Shot("gate", 17, EPOCH, 0, b"jpeg"))
    spool.close()


def test_the_shots_of_a_spool_are_those_that_were_put_there(spool: Spool) -> None:
    found = taken(spool)
    spool.close()
    assert [number for number, _ in found] == list(range(1, 35))
    (_, first), (_, last) = found[0], found[-1]
    assert (first.stream, first.seq, first.epoch) == ("gate", 0, EPOCH)
    assert first.captured_us == 1796010846934022
    assert hashlib.sha256(first.content).hexdigest()[:16] == "ae60008791b2fd5a"
    assert (last.stream, last.seq, last.captured_us) == ("yard", 16, 1796010852267660)
    assert hashlib.sha256(last.content).hexdigest()[:16] == "3095c1dfe73872c0"


# -------------------------------------------------------------------------------------- verdicts


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Verdicts, dict[str, Any]]:
    """The verdicts, asked on a machine that is to them the one on which they were made."""
    facts = json.loads((FIRST / "verdicts" / "facts.json").read_text())
    (tmp_path / "cpuinfo").write_text(facts["processor"])
    monkeypatch.setattr(verdicts, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(verdicts, "_own_code", lambda: facts["own_code"])
    monkeypatch.setattr(verdicts, "version", facts["versions"].__getitem__)
    return Verdicts(private(FIRST / "verdicts", tmp_path)), facts["digests"]


@pytest.mark.parametrize("bundle", ["seed", "actions"])
def test_what_has_passed_before_has_passed(
    known: tuple[Verdicts, dict[str, Any]], bundle: str
) -> None:
    found, digests = known
    assert found.passed("graphs", digests[bundle])
    assert found.passed("engine", digests[bundle], "onnxruntime", "1")
    assert not found.passed("engine", digests[bundle], "onnxruntime", "2")
    assert not found.passed("graphs", "0" * 64)


# ----------------------------------------------------------------------------------------- plans


@pytest.mark.parametrize(
    ("key", "size", "profiles"),
    [
        (ENCODER, 2998, {"frames"}),
        (
            STEP,
            4966,
            {"longtake_picks", "longtake_rows", "longtake_table_c", "longtake_table_h"},
        ),
    ],
)
def test_a_plan_is_found_by_what_its_card_says_it_was_made_for(
    tmp_path: Path, key: str, size: int, profiles: set[str]
) -> None:
    facts = json.loads((FIRST / "plans" / f"{key}.json").read_text())
    digest = facts.pop("plan_sha256")
    assert (facts["tensorrt"], facts["gpu"]) == ("11.4.0.106", "Double GPU")
    assert set(facts["profiles"][0]) == profiles
    plan = PlanCache(private(FIRST / "plans", tmp_path)).load(facts)
    assert plan is not None
    assert (key_of(facts), len(plan)) == (key, size)
    assert hashlib.sha256(plan).hexdigest() == digest


def test_a_plan_made_for_other_facts_is_not_found(tmp_path: Path) -> None:
    facts = json.loads((FIRST / "plans" / f"{ENCODER}.json").read_text())
    del facts["plan_sha256"]
    assert (
        PlanCache(private(FIRST / "plans", tmp_path)).load(facts | {"gpu": "Another GPU"}) is None
    )
