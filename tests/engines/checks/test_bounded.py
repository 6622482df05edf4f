"""A graph that asks for too much ends the process that checks it, and is refused by a sentence."""

import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper

from engines.checks import bounded
from engines.checks.bounded import CheckLimits, check_in_child
from engines.errors import BundleError, DeviceError, EngineError, VerificationError
from engines.load import load_engine
from engines.model.bundle import find_bundle, load_bundle
from engines.model.lint import complaints
from engines.model.seed import write_seed
from engines.model.verdicts import Verdicts
from tests.engines.bundles import tiny
from tests.engines.hostile import encoder, folder, head, head_with, largest_of, op, state

GIB = 1 << 30
SHORT = CheckLimits(memory_bytes=3 * GIB, cpu_s=4, wall_s=120)  # libraries take 1 s of it
MEMORY = "takes more than 3.0 GiB of memory, which is the limit"
CPU = "takes more than 4 s of processor time, which is the limit"


def filled(*shape: int) -> ModelProto:
    nodes = [op("ConstantOfShape", ["size"], ["c"]), *largest_of("c")]
    return head(*nodes, weights={"size": np.array(shape)}, last="l")


def expanded(*shape: int) -> ModelProto:
    weights = {"one": np.ones(1, np.float32), "size": np.array(shape)}
    return head(op("Expand", ["one", "size"], ["c"]), *largest_of("c"), weights=weights, last="l")


def counted(count: int) -> ModelProto:
    ends = {"a": np.int64(0), "b": np.int64(count), "d": np.int64(1)}
    nodes = [op("Range", list(ends), ["r"]), op("Cast", ["r"], ["c"], to=1), *largest_of("c")]
    return head(*nodes, weights=ends, last="l")


def doubled(times: int) -> ModelProto:
    chain = [op("Concat", [f"d{n}", f"d{n}"], [f"d{n + 1}"], axis=0) for n in range(times)]
    nodes = [op("Identity", ["features"], ["d0"]), *chain, *largest_of(f"d{times}")]
    return head(*nodes, last="l")


def multiplied(side: int, times: int) -> ModelProto:
    chain = [op("MatMul", [f"a{n}", f"a{n}"], [f"a{n + 1}"]) for n in range(times)]
    nodes = [op("ConstantOfShape", ["size"], ["a0"]), *chain, *largest_of(f"a{times}")]
    return head(*nodes, weights={"size": np.array([side, side])}, last="l")


def sized(*dims: int) -> ModelProto:
    """A weight that says it has other dimensions than it has values for."""
    weight = numpy_helper.from_array(np.zeros(3, np.float32), "w")
    weight.ClearField("dims")
    weight.dims.extend(dims)
    return head_with(weight)


def gathered(kind: str, index: Sequence[object]) -> ModelProto:
    nodes = [op(kind, ["features", "i"], ["g"], axis=1), op("Add", ["features", "g"], ["l"])]
    return head(*nodes, weights={"i": np.array(index)}, last="l")


GRAPHS: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "constant of 80 GB": (lambda: filled(200_000, 100_000), MEMORY),
    "expansion to 24 GB": (lambda: expanded(60_000, 100_000), MEMORY),
    "range of 24 GB": (lambda: counted(3 * 10**9), MEMORY),
    "34 doublings": (lambda: doubled(34), MEMORY),
    "200 products of 4000 x 4000": (lambda: multiplied(4000, 200), CPU),
    "dimensions that lie": (lambda: sized(2**40), "head.onnx"),
    "dimensions below zero": (lambda: sized(-1), "head.onnx"),
    "an index out of range": (lambda: gathered("Gather", [10**9]), "out of data bounds"),
}


ALIKE = ("expansion to 24 GB", "range of 24 GB", "dimensions below zero")  # to cases that stay


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[pytest.mark.slow] if c in ALIKE else []) for c in GRAPHS]
)
def test_a_graph_that_asks_for_too_much_is_refused(tmp_path: Path, case: str) -> None:
    make, sentence = GRAPHS[case]
    bundle = load_bundle(folder(tmp_path / "evil", head_model=make()))
    with pytest.raises((BundleError, DeviceError), match="evil") as caught:
        check_in_child(bundle, threads=1, limits=SHORT)
    assert sentence in str(caught.value)


@pytest.mark.slow
def test_the_largest_picture_that_is_taken_ends_within_the_limits(tmp_path: Path) -> None:
    path = folder(tmp_path / "large", encoder_model=encoder(4096, 4096), size=(4096, 4096))
    with pytest.raises(BundleError, match="takes more than"):
        check_in_child(load_bundle(path), threads=1, limits=SHORT)


def test_state_that_does_not_pass_the_graph_is_refused(tmp_path: Path) -> None:
    path = folder(tmp_path / "evil", head_model=head(), state=[state(4)])
    with pytest.raises(BundleError, match="inputs are features; wanted are features, s_in"):
        check_in_child(load_bundle(path), threads=1)


def test_a_head_that_answers_by_its_batch_is_refused_with_the_words_of_the_oracle(
    tmp_path: Path,
) -> None:
    uneven = head(op("ReduceMax", ["features"], ["m"], axes=[0], keepdims=1),
                  op("Add", ["features", "m"], ["l"]), last="l")  # fmt: skip
    bundle = load_bundle(folder(tmp_path / "evil", head_model=uneven))
    with pytest.raises(VerificationError, match="differ by"):
        check_in_child(bundle, threads=1)


@pytest.mark.parametrize("name", ["actions", "languages", "strands", "seed"])
def test_our_own_bundles_take_a_small_part_of_the_limits(tmp_path: Path, name: str) -> None:
    path = write_seed(tmp_path / name) if name == "seed" else find_bundle(name)
    bundle = load_bundle(path)
    whole = CheckLimits.of(bundle)
    third = CheckLimits(GIB, math.ceil(whole.cpu_s / 3), whole.wall_s)
    assert check_in_child(bundle, threads=2, limits=third) == tuple(complaints(bundle))


@pytest.mark.parametrize("code", ["os.abort()", "os.kill(os.getpid(), 11)"])
def test_a_crash_of_a_native_library_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    bundle = tiny(tmp_path)
    monkeypatch.setattr(
        bounded, "module_command", lambda _: [sys.executable, "-c", f"import os; {code}"]
    )
    with pytest.raises(BundleError, match=r"crash the process that checks them \(SIG"):
        check_in_child(bundle, threads=1)


def test_a_child_that_stands_still_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr(bounded, "module_command", lambda _: sleeping)
    with pytest.raises(BundleError, match="did not end within 1 s, which is the limit"):
        check_in_child(tiny(tmp_path), threads=1, limits=CheckLimits(GIB, 5, 1))


def test_a_child_that_cannot_start_says_that_the_installation_may_be_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "module_command", lambda _: [sys.executable, "-c", "exit(3)"])
    with pytest.raises(EngineError, match=r"exit code 3 .* is the installation complete\?"):
        check_in_child(tiny(tmp_path), threads=1)


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    bundle = load_bundle(folder(tmp_path / "evil", head_model=multiplied(4000, 200)))
    with bounded.started_child(CheckLimits(3 * GIB, 60, 60), threads=1) as (child, line):
        for content in (b"evil", bundle.described, bundle.encoder, bundle.head):
            line.send_bytes(content)
        line.close()
        assert child.wait(100) == 1


def test_modules_in_the_current_folder_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be the unpacked bundle of a stranger."""
    bundle = tiny(tmp_path / "bundle")
    (tmp_path / "numpy.py").write_text("open('imported', 'w')")
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "__init__.py").write_text("open('imported', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep)
    check_in_child(bundle, threads=1)
    assert not (tmp_path / "imported").exists()


def test_a_bundle_that_has_passed_starts_without_a_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, known = tiny(tmp_path / "bundle"), Verdicts(tmp_path)
    load_engine("onnxruntime", bundle, 1, verdicts=known).close()
    monkeypatch.setattr(bounded, "module_command", None)  # a child would be a TypeError
    load_engine("onnxruntime", bundle, 1, verdicts=known).close()


@pytest.mark.parametrize("name", ["onnxruntime", "reference"])
def test_no_engine_runs_a_graph_that_is_refused(tmp_path: Path, name: str) -> None:
    bundle = load_bundle(folder(tmp_path / "evil", head_model=sized(-1)))
    with pytest.raises((BundleError, DeviceError), match="evil"):
        load_engine(name, bundle, 1, verdicts=Verdicts(tmp_path))  # type: ignore[arg-type]
