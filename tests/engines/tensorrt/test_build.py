"""What a build tells, what it quotes when it fails, and that it can be stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from doubles.tensorrt import driver
from engines.base import BuildProgress
from engines.checks.verify import FLOAT32_GPU, verify
from engines.errors import BuildError, EngineUnavailableError
from engines.model.bundle import Bundle
from engines.tensorrt.parts import find_machine
from engines.tensorrt.plans import PlanCache
from tests.engines.bundles import FEATURES, SIDE, floats, graph, normal, op, tiny
from tests.gpu import gpu_engine

pytestmark = pytest.mark.usefixtures("doubles")
PICTURE = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
SIZES = {"frames": tuple((n, SIDE, SIDE, 3) for n in (1, 4, 8))}
DENSE = normal(np.random.default_rng(0), SIDE * SIDE * 3, FEATURES, fan=50)
CAST = op("Cast", ["frames"], ["raw"], name="widen", to=TensorProto.FLOAT)
FLAT = op("Flatten", ["raw"], ["flat"])
TELL = op("MatMul", ["flat", "dense"], ["features"], name="tell")


def silent(phase: str, done: int, steps: int) -> None:
    """Hear nothing."""


def built(
    encoder: bytes, *, progress: BuildProgress = silent, timings: bytes = b"", sizes: Any = SIZES
) -> Any:
    from engines.tensorrt.build import build_plan
    from engines.tensorrt.log import TensorRtLog

    return build_plan(
        encoder,
        [sizes],
        timings=timings,
        progress=progress,
        log=TensorRtLog(),
        capability=(8, 9),
    )


def encoder(*nodes: onnx.NodeProto, dense: np.ndarray[Any, Any] = DENSE) -> bytes:
    return graph(nodes, {"dense": dense}, inputs=[PICTURE], outputs=[floats("features", FEATURES)])


@pytest.mark.parametrize(
    ("refused", "quoted"),
    [
        (
            encoder(CAST, op("Det", ["raw"], ["odd"], name="odd"), FLAT, TELL),
            "no importer registered for op: Det (node odd, Det)",
        ),
        (
            encoder(CAST, FLAT, TELL, dense=DENSE.astype(np.float16)),
            "MatMul must have inputs of one type: flat FLOAT, dense FLOAT16 (node tell, MatMul)",
        ),
        (
            encoder(
                op("Transpose", ["frames"], ["turned"], name="turn", perm=[0, 3, 1, 2]),
                op("Cast", ["turned"], ["raw"], to=TensorProto.FLOAT),
                FLAT,
                TELL,
            ),
            "frames is UINT8, which can only be cast to float32 or float16 (node turn, Transpose)",
        ),
    ],
    ids=["an unknown op", "mixed types", "pixels that are not cast first"],
)
def test_what_tensorrt_does_not_read_is_told_with_node_and_reason(
    refused: bytes, quoted: str
) -> None:
    with pytest.raises(BuildError) as caught:
        built(refused)
    assert str(caught.value).startswith("TensorRT cannot read the graph: ")
    assert quoted in str(caught.value)


def test_all_reasons_are_told_and_nodes_without_a_name_too() -> None:
    odd = [op("Det", ["raw"], ["odd"]), op("NonsenseOp", ["raw"], ["odder"])]
    with pytest.raises(BuildError, match=r"Det \(node \?, Det\); .*NonsenseOp \(node \?, Nonsense"):
        built(encoder(CAST, *odd, FLAT, TELL))


def test_what_tensorrt_cannot_build_is_told_in_its_words() -> None:
    with pytest.raises(BuildError, match=r"cannot make a plan: .*frames is missing dimensions"):
        built(encoder(CAST, FLAT, TELL), sizes={})


def test_float32_is_not_rounded_to_tf32_on_gpus_that_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOUBLE_CAPABILITY", "8.6")
    bundle = tiny(tmp_path)
    engine = gpu_engine(bundle, half=False)
    try:
        assert verify(engine, bundle, precision=FLOAT32_GPU).scores < 1e-6
    finally:
        engine.close()


def test_each_phase_is_told_from_its_first_step_to_its_last() -> None:
    told: list[tuple[str, int, int]] = []
    built(encoder(CAST, FLAT, TELL), progress=lambda *step: told.append(step))
    assert told == [
        *(("Timing layers", done, 3) for done in (1, 2, 3)),
        *(("Building the engine", done, 2) for done in (1, 2)),
    ]


@pytest.mark.parametrize("failure", [ValueError("no more"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("step", [2, 5], ids=["midway", "at the last step"])
def test_what_the_listener_raises_stops_the_build_and_comes_out(
    failure: BaseException, step: int
) -> None:
    heard: list[int] = []

    def told(_: str, done: int, __: int) -> None:
        heard.append(done)
        if len(heard) == step:
            raise failure

    with pytest.raises(type(failure)) as caught:
        built(encoder(CAST, FLAT, TELL), progress=told)
    assert caught.value is failure
    assert len(heard) == step


def test_a_build_that_is_stopped_keeps_nothing_of_the_device(tmp_path: Path) -> None:
    before = driver.live()
    with pytest.raises(KeyboardInterrupt):
        opened(tiny(tmp_path), tmp_path / "plans", progress=raises(KeyboardInterrupt()))
    assert driver.live() == before
    assert not list((tmp_path / "plans").glob("*.plan"))


def test_timings_of_another_version_are_left_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOUBLE_TENSORRT_VERSION", "11.5.0.1")
    old = built(encoder(CAST, FLAT, TELL)).timings
    monkeypatch.delenv("DOUBLE_TENSORRT_VERSION")
    fresh = built(encoder(CAST, FLAT, TELL))
    assert built(encoder(CAST, FLAT, TELL), timings=old) == fresh
    assert built(encoder(CAST, FLAT, TELL), timings=b"damaged") == fresh


@pytest.mark.parametrize("part", ["Runtime", "Builder"])
def test_a_tensorrt_that_does_not_begin_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    import tensorrt

    def refuse(log: Any) -> None:
        log.log(log.ERROR, "CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    monkeypatch.setattr(tensorrt, part, refuse)
    with pytest.raises(EngineUnavailableError, match=r"error: 35.*driver.*nvidia-smi"):
        opened(tiny(tmp_path), tmp_path / "plans")


def opened(bundle: Bundle, folder: Path, progress: BuildProgress = silent) -> None:
    from engines.tensorrt.engine import TensorRtEngine

    TensorRtEngine(bundle, find_machine(), PlanCache(folder), half=False, progress=progress)


def raises(failure: BaseException) -> Callable[[str, int, int], None]:
    def told(*_: object) -> None:
        raise failure

    return told
