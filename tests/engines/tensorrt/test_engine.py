"""What the TensorRT engine does beyond the contract of all engines, on doubles."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from doubles.tensorrt import driver
from engines.base import Engine
from engines.checks.verify import promised, verify
from engines.errors import DeviceError
from engines.model.bundle import Bundle, find_bundle, load_bundle
from tests.engines.bundles import FEATURES, floats, frames, graph, tiny, white
from tests.gpu import gpu_engine

pytestmark = pytest.mark.usefixtures("doubles")
PIXELS = frames(8)

Make = Callable[[Bundle], Engine]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make engines, and close them; what a test has broken outlives it not."""
    made: list[Engine] = []

    def making(bundle: Bundle) -> Engine:
        made.append(gpu_engine(bundle, half=False))
        return made[-1]

    yield making
    driver.reset()
    for engine in reversed(made):
        engine.close()


@pytest.fixture
def engine(make: Make, tmp_path: Path) -> Engine:
    engine = make(tiny(tmp_path))
    engine.reserve(8)
    return engine


def answers(engine: Engine, picks: list[int], rows: list[int]) -> np.ndarray:
    return engine.step(engine.encode(PIXELS), picks, rows)[0]


def test_each_size_is_captured_at_its_second_run_and_replayed_from_then_on(engine: Engine) -> None:
    alone = [answers(engine, [0], [row]) for row in range(5)]
    facts = engine.facts
    assert facts is not None
    assert facts.not_captured == ""
    assert facts.captured == 2  # eight frames, one row
    assert all((answer == alone[0]).all() for answer in alone)


def test_a_table_that_grows_is_captured_anew(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOUBLE_HASTY_FREE", "1")  # freeing waits for nobody
    fresh = [answers(engine, [1], [row]) for row in (0, 1, 2)][-1]
    before = engine.read([0, 1, 2])
    engine.reserve(500)
    assert (answers(engine, [1], [400]) == fresh).all()
    for name, tensor in engine.read([0, 1, 2]).items():
        assert (tensor == before[name]).all()
    assert (answers(engine, [3], [0]) == answers(engine, [3], [1])).all()


def test_without_cuda_bindings_it_runs_without_graphs(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    engine = make(tiny(tmp_path))
    engine.reserve(8)
    same = [answers(engine, [0], [row]) for row in range(4)]
    assert all((answer == same[0]).all() for answer in same)
    assert engine.facts is not None
    assert engine.facts.captured == 0
    assert "cuda-bindings cannot be imported" in engine.facts.not_captured


@pytest.mark.parametrize(
    ("call", "nth"),
    [
        ("cuStreamBeginCapture_v2", 1),
        ("cuLaunchHostFunc", 3),  # the first of a capture: TensorRT says no
        ("cuGraphInstantiateWithFlags", 1),
    ],
)
def test_what_cannot_be_captured_is_queued_call_by_call(
    engine: Engine, call: str, nth: int
) -> None:
    driver.fail_call(call, nth, driver.LAUNCH_FAILED)
    same = [answers(engine, [0], [row]) for row in range(4)]
    assert all((answer == same[0]).all() for answer in same)
    assert engine.facts is not None
    assert engine.facts.captured == 0
    assert engine.facts.not_captured


def test_frames_that_are_encoded_and_never_stepped_do_no_harm(engine: Engine) -> None:
    wanted = answers(engine, [7], [0])
    for start in (0, 3, 5, 1, 2):
        engine.encode(PIXELS[start:])
    assert (answers(engine, [7], [1]) == wanted).all()


def test_pixels_may_change_as_soon_as_encode_is_back(engine: Engine) -> None:
    wanted = answers(engine, [0, 5], [0, 1])
    mine = PIXELS.copy()
    features = engine.encode(mine)
    mine[:] = 0
    assert (engine.step(features, [0, 5], [2, 3])[0] == wanted).all()


def test_features_of_an_earlier_batch_are_refused(engine: Engine) -> None:
    old = engine.encode(PIXELS)
    engine.encode(PIXELS[:2])
    with pytest.raises(ValueError, match="encoded since"):
        engine.step(old, [0], [0])
    with pytest.raises(ValueError, match="encoded since"):
        old.vector(0)


def test_features_of_another_engine_are_refused(engine: Engine, make: Make, tmp_path: Path) -> None:
    other = make(tiny(tmp_path / "other"))
    with pytest.raises(TypeError, match="this engine's own"):
        engine.step(other.encode(PIXELS), [0], [0])


def test_a_frame_that_is_not_finite_breaks_no_later_batch(make: Make, tmp_path: Path) -> None:
    engine = make(tiny(tmp_path, explodes=True))
    engine.reserve(8)
    wanted, _ = engine.step(engine.encode(PIXELS[:3]), [0, 1, 2], [0, 1, 2])
    broken = np.stack([white()] * 4)
    assert not engine.step(engine.encode(broken), range(4), range(4))[1].any()
    engine.zero(range(4))  # the fourth line of the next batch is still what was left there
    found, finite = engine.step(engine.encode(PIXELS[:3]), [0, 1, 2], [0, 1, 2])
    assert finite.all()
    assert (found == wanted).all()


def test_zeroing_queues_nothing_and_reads_as_zeros(engine: Engine) -> None:
    answers(engine, [0, 1], [3, 4])
    before = engine.facts
    engine.zero([3])
    assert engine.facts == before
    read = engine.read([3, 4])
    assert all(not tensor[0].any() and tensor[1].any() for tensor in read.values())


def test_more_rows_than_a_page_are_read_and_written(engine: Engine) -> None:
    engine.reserve(300)
    rows = np.random.default_rng(0).permutation(300)[:150]
    written = {
        name: np.random.default_rng(1).normal(size=(150, *tensor.shape[1:])).astype(np.float32)
        for name, tensor in engine.read([0]).items()
    }
    engine.write(rows, written)
    for name, tensor in engine.read(rows[::-1]).items():
        assert (tensor == written[name][::-1]).all()


def test_a_bundle_without_memory_is_stepped_without_rows(make: Make, tmp_path: Path) -> None:
    bundle = tiny(tmp_path)
    weights = {"classes": np.ones((FEATURES, len(bundle.labels)), np.float32)}
    head = graph(
        [helper.make_node("MatMul", ["features", "classes"], ["logits"])],
        weights,
        inputs=[floats("features", FEATURES)],
        outputs=[floats("logits", len(bundle.labels))],
    )
    engine = make(replace(bundle, head=head, state=()))
    engine.reserve(3)
    features = engine.encode(PIXELS)
    logits, finite = engine.step(features, [5, 2, 7], [0, 2, 1])
    assert finite.all()
    for line, pick in enumerate([5, 2, 7]):
        np.testing.assert_allclose(logits[line], features.vector(pick).sum(), rtol=1e-5)


def test_the_fill_of_batches_is_counted(engine: Engine) -> None:
    answers(engine, [0, 1, 2], [0, 1, 2])
    assert engine.facts is not None
    assert (engine.facts.items, engine.facts.slots) == (8 + 3, 8 + 4)


def test_everything_is_given_back(tmp_path: Path) -> None:
    before = driver.live()
    engine = gpu_engine(tiny(tmp_path), half=False)
    engine.reserve(8)
    for row in range(4):
        answers(engine, [row], [row])
    engine.reserve(100)
    engine.encode(PIXELS)  # and left there
    assert driver.live()["graphs"] > before["graphs"]
    engine.close()
    assert driver.live() == before


@pytest.mark.parametrize(
    ("call", "nth"),
    [
        ("cuStreamCreate", 1),
        ("cuMemAlloc_v2", 1),
        ("cuMemAlloc_v2", 7),
        ("cuMemHostAlloc", 1),
        ("cuMemHostAlloc", 4),
    ],
)
def test_an_engine_that_cannot_be_opened_leaves_nothing_behind(
    tmp_path: Path, call: str, nth: int
) -> None:
    bundle, before = tiny(tmp_path), driver.live()
    for _ in range(2):  # pycuda collects garbage and tries once more
        driver.fail_call(call, nth, driver.OUT_OF_MEMORY)
    with pytest.raises(DeviceError, match="too little memory for opening"):
        gpu_engine(bundle, half=False)
    driver.reset()
    assert driver.live() == before


def test_too_many_rows_for_the_memory_are_an_error_that_says_what_to_do(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOUBLE_MEMORY_BYTES", "1")
    with pytest.raises(DeviceError, match="too little memory for a table of 5000 rows"):
        engine.reserve(5000)


def test_a_failing_kernel_is_a_device_error_at_once_and_for_ever(engine: Engine) -> None:
    features = engine.encode(PIXELS)
    driver.fail(0, driver.ILLEGAL_ADDRESS)  # the default stream's context is the engine's
    for _ in range(2):
        with pytest.raises(DeviceError, match=r"stepping .*ILLEGAL_ADDRESS.* restores it"):
            engine.step(features, [0], [0])


def test_a_graph_that_does_not_run_is_a_device_error(engine: Engine) -> None:
    for row in range(3):
        answers(engine, [0], [row])
    features = engine.encode(PIXELS)
    driver.fail_call("cuGraphLaunch", 1, driver.ILLEGAL_ADDRESS)
    with pytest.raises(DeviceError, match=r"failed at cuGraphLaunch .*ILLEGAL_ADDRESS"):
        engine.step(features, [0], [0])


def test_half_precision_is_near_and_not_the_same(tmp_path: Path) -> None:
    bundle = load_bundle(find_bundle("actions"))
    whole, half = (gpu_engine(bundle, half=half) for half in (False, True))
    try:
        report = verify(half, bundle, precision=promised(bundle, "float16"))
        exact = verify(whole, bundle, precision=promised(bundle, "float32"))
    finally:
        half.close()
        whole.close()
    assert exact.scores < 1e-5 < report.scores < 1e-2
