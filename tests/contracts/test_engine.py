"""The contract `engines.base.Engine`, for every engine and bundles with one and two states."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.base import Engine
from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from engines.reference import reference_engine

from ..engines.bundles import FEATURES, UNITS, frames, tiny, white
from ..gpu import DOUBLES, GPU, gpu_engine

Make = Callable[[Bundle], Engine]
ENGINES: dict[str, Make] = {
    "reference": reference_engine,
    "onnxruntime": lambda bundle: onnxruntime_engine(bundle, threads=1),
    "onnxruntime on two threads": lambda bundle: onnxruntime_engine(bundle, threads=2),
    DOUBLES: lambda bundle: gpu_engine(bundle, half=False),
    GPU: lambda bundle: gpu_engine(bundle, half=False),
}
BUNDLES = {
    "lstm": {"cell": "lstm"},
    "gru": {"cell": "gru"},
    "sigmoid": {"activation": "sigmoid"},
}
PIXELS = frames(8)


@pytest.fixture(params=BUNDLES, scope="module")
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny(tmp_path_factory.mktemp("bundle"), **BUNDLES[request.param])


@pytest.fixture(
    params=[pytest.param(name, marks=[pytest.mark.gpu] * (name == GPU)) for name in ENGINES]
)
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    if request.param in (DOUBLES, GPU):
        request.getfixturevalue({DOUBLES: "doubles", GPU: "real_gpu"}[request.param])
    made: list[Engine] = []

    def make_and_note(bundle: Bundle) -> Engine:
        made.append(ENGINES[request.param](bundle))
        return made[-1]

    yield make_and_note
    for engine in reversed(made):
        engine.close()


@pytest.fixture
def engine(make: Make, bundle: Bundle) -> Engine:
    engine = make(bundle)
    engine.reserve(8)
    return engine


def alike(engine: Engine, found: np.ndarray, wanted: np.ndarray) -> bool:
    """Compare bit for bit, except for TensorRT, whose kernels depend on the size of the batch."""
    if engine.name == "tensorrt":
        return bool(np.allclose(found, wanted, rtol=0, atol=1e-4))
    return found.tobytes() == wanted.tobytes()


def run(engine: Engine, row: int, picks: list[int]) -> np.ndarray:
    """Step one row over frames, alone. Returns the last logits (K,)."""
    features = engine.encode(PIXELS)
    answers: list[np.ndarray] = [engine.step(features, [p], [row])[0][0] for p in picks]
    return answers[-1]


def test_a_new_table_is_empty_and_grows_with_zeros(make: Make, bundle: Bundle) -> None:
    engine = make(bundle)
    assert engine.rows == 0
    engine.reserve(3)
    assert engine.rows >= 3
    assert not any(tensor.any() for tensor in engine.read([0, 1, 2]).values())


def test_reserving_keeps_what_rows_hold(engine: Engine) -> None:
    run(engine, 3, [0, 1])
    before = engine.read([3])
    engine.reserve(50)
    engine.reserve(2)
    assert engine.rows >= 50
    for name, tensor in engine.read([3]).items():
        np.testing.assert_array_equal(tensor, before[name])


def test_state_has_the_names_shapes_and_dtypes_of_the_bundle(
    engine: Engine, bundle: Bundle
) -> None:
    shapes = {name: (t.shape, t.dtype.name) for name, t in engine.read([4, 1, 0]).items()}
    assert shapes == {spec.name: ((3, *spec.shape), spec.dtype) for spec in bundle.state}


def test_answers_have_the_shapes_of_the_contract(engine: Engine, bundle: Bundle) -> None:
    features = engine.encode(PIXELS)
    logits, finite = engine.step(features, [0, 0, 3], [5, 2, 1])
    assert len(features) == 8
    assert (logits.shape, logits.dtype.name) == ((3, len(bundle.labels)), "float32")
    assert finite.tolist() == [True, True, True]


def test_frames_and_memory_change_the_answer(engine: Engine) -> None:
    fresh = run(engine, 0, [0])
    assert np.abs(run(engine, 1, [1]) - fresh).max() > 0.01
    assert np.abs(run(engine, 0, [0]) - fresh).max() > 0.01


@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_a_frame_is_encoded_alike_in_every_batch(engine: Engine, size: int) -> None:
    for place in range(size):
        together, _ = engine.step(engine.encode(PIXELS[:size]), [place], [0])
        alone, _ = engine.step(engine.encode(PIXELS[place : place + 1]), [0], [1])
        assert alike(engine, together, alone)
        engine.zero([0, 1])


@pytest.mark.parametrize("size", range(2, 9))
def test_a_row_steps_alike_in_every_batch(engine: Engine, size: int) -> None:
    features = engine.encode(PIXELS)
    rows = list(range(size))[::-1]
    first, _ = engine.step(features, rows, rows)
    together, _ = engine.step(features, rows[::-1], rows)
    engine.zero(rows)
    for place, row in enumerate(rows):
        assert alike(engine, engine.step(features, [row], [row])[0][0], first[place])
        again, _ = engine.step(features, [size - 1 - row], [row])
        assert alike(engine, again[0], together[place])


def test_waves_over_one_batch_equal_one_frame_at_a_time(engine: Engine) -> None:
    orders = {2: [0, 3, 5], 6: [1, 4], 0: [2, 6, 7]}  # row -> frames of its stream
    alone = {row: run(engine, row, picks) for row, picks in orders.items()}
    engine.zero(list(orders))
    features = engine.encode(PIXELS)
    for wave in range(3):
        rows = [row for row, picks in orders.items() if wave < len(picks)]
        logits, _ = engine.step(features, [orders[row][wave] for row in rows], rows)
        for line, row in enumerate(rows):
            if wave == len(orders[row]) - 1:
                assert alike(engine, logits[line], alone[row])


def test_rows_that_are_not_stepped_stay_as_they_are(engine: Engine) -> None:
    others = [0, 1, 2, 4, 5, 6, 7]
    for row in others:
        run(engine, row, [row])
    before = engine.read(others)
    run(engine, 3, [0, 1, 2])
    for name, tensor in engine.read(others).items():
        np.testing.assert_array_equal(tensor, before[name])


def test_a_row_read_and_written_elsewhere_goes_on_like_the_original(engine: Engine) -> None:
    run(engine, 0, [0, 1])
    run(engine, 1, [2, 3])
    engine.write([6, 5], engine.read([0, 1]))
    assert alike(engine, run(engine, 6, [4, 5]), run(engine, 0, [4, 5]))
    assert alike(engine, run(engine, 5, [4, 5]), run(engine, 1, [4, 5]))


def test_what_was_read_is_a_copy_and_what_was_written_too(engine: Engine) -> None:
    run(engine, 0, [0])
    taken = {name: tensor.copy() for name, tensor in engine.read([0]).items()}
    engine.write([1], taken)
    read = engine.read([0])
    for tensor in (*taken.values(), *read.values()):
        tensor[:] = 7
    assert alike(engine, run(engine, 0, [1]), run(engine, 1, [1]))


def test_a_line_of_the_features_is_a_copy_on_the_host(engine: Engine) -> None:
    features = engine.encode(PIXELS)
    before = engine.step(features, [3], [0])[0]
    line = features.vector(3)
    assert (line.shape, line.dtype.name) == ((FEATURES,), "float32")
    assert line.any()
    line[:] = 0
    assert (engine.step(features, [3], [1])[0] == before).all()


def test_answers_stay_when_the_engine_runs_on(engine: Engine) -> None:
    features = engine.encode(PIXELS)
    logits, _ = engine.step(features, [0, 1], [0, 1])
    before = logits.tobytes()
    engine.step(features, [5, 6], [0, 1])
    assert logits.tobytes() == before


def test_a_zeroed_row_starts_afresh_and_its_neighbours_go_on(engine: Engine) -> None:
    fresh = run(engine, 2, [0])
    run(engine, 3, [1])
    neighbour = engine.read([3])
    engine.zero([2])
    assert alike(engine, run(engine, 2, [0]), fresh)
    for name, tensor in engine.read([3]).items():
        np.testing.assert_array_equal(tensor, neighbour[name])


@pytest.mark.parametrize("rows", [[1, 1], [8], [-1], [0, 1, 2]])
def test_wrong_rows_are_refused_and_nothing_changes(engine: Engine, rows: list[int]) -> None:
    features = engine.encode(PIXELS)
    engine.step(features, [0, 1], [0, 1])
    before = engine.read(range(8))
    with pytest.raises(ValueError, match="rows"):
        engine.step(features, [2] * min(2, len(rows)), rows)
    for name, tensor in engine.read(range(8)).items():
        np.testing.assert_array_equal(tensor, before[name])


@pytest.mark.parametrize("picks", [[8], [-1]])
def test_picks_beyond_the_features_are_refused(engine: Engine, picks: list[int]) -> None:
    with pytest.raises(ValueError, match=r"picks must be in 0\.\.7"):
        engine.step(engine.encode(PIXELS), picks, [0])


def test_a_step_of_no_rows_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="M >= 1"):
        engine.step(engine.encode(PIXELS), [], [])


@pytest.mark.parametrize(
    "pixels", [PIXELS[:0], PIXELS[:, :8], PIXELS[0], PIXELS.astype(np.float32), PIXELS[..., :1]]
)
def test_inputs_of_another_shape_or_dtype_are_refused(engine: Engine, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="wants uint8 inputs"):
        engine.encode(pixels)


def test_inputs_need_not_be_contiguous(engine: Engine) -> None:
    mirrored, _ = engine.step(engine.encode(PIXELS[::-1, :, ::-1]), [0], [0])
    plain, _ = engine.step(engine.encode(PIXELS[::-1, :, ::-1].copy()), [0], [1])
    assert alike(engine, mirrored, plain)


def test_state_that_is_incomplete_or_misshaped_is_refused(engine: Engine) -> None:
    whole = dict(engine.read([0, 1]))
    h = whole.pop("h")
    for wrong in (
        whole,
        {**whole, "h": h, "z": h},
        {**whole, "h": h[:1]},
        {**whole, "h": h.astype(np.float64)},
    ):
        with pytest.raises(ValueError, match="state"):
            engine.write([0, 1], wrong)


def test_only_the_line_that_is_not_finite_is_reported(make: Make, tmp_path: Path) -> None:
    engine = make(tiny(tmp_path, explodes=True))
    engine.reserve(3)
    features = engine.encode(np.stack([PIXELS[0], white(), PIXELS[1]]))
    logits, finite = engine.step(features, [0, 1, 2], [0, 1, 2])
    assert finite.tolist() == [True, False, True]
    assert np.isfinite(logits).all(axis=1).tolist() == [True, False, True]
    assert np.isfinite(engine.read([0, 2])["c"]).all()


def test_a_broken_row_stays_broken_until_it_is_zeroed(make: Make, tmp_path: Path) -> None:
    engine = make(tiny(tmp_path, explodes=True))
    engine.reserve(2)
    features = engine.encode(np.stack([PIXELS[0], white()]))
    fresh, _ = engine.step(features, [0], [1])
    engine.step(features, [1], [0])
    assert not engine.step(features, [0], [0])[1].any()
    engine.zero([0])
    assert alike(engine, engine.step(features, [0], [0])[0], fresh)


def test_it_agrees_with_the_reference_over_500_steps(engine: Engine, bundle: Bundle) -> None:
    oracle = reference_engine(bundle)
    oracle.reserve(2)
    theirs, ours = oracle.encode(PIXELS), engine.encode(PIXELS)
    for wave in np.random.default_rng(0).integers(0, 8, (500, 2)):
        wanted, _ = oracle.step(theirs, wave, [0, 1])
        found, _ = engine.step(ours, wave, [0, 1])
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    assert engine.read([0])["h"].shape == (1, UNITS)


def test_onnxruntime_has_the_same_bits_on_one_thread_and_on_two(bundle: Bundle) -> None:
    engines = [onnxruntime_engine(bundle, threads) for threads in (1, 2)]
    for engine in engines:
        engine.reserve(8)
    one, two = (engine.step(engine.encode(PIXELS), range(8), range(8))[0] for engine in engines)
    assert one.tobytes() == two.tobytes()


def test_waves_larger_than_any_batch_are_stepped(engine: Engine) -> None:
    many = frames(160)
    engine.reserve(160)
    rows = np.random.default_rng(1).permutation(160)
    logits, finite = engine.step(engine.encode(many), np.arange(160), rows)
    assert finite.all()
    for place in (0, 7, 63, 64, 100, 127, 128, 159):
        engine.zero([0])
        alone, _ = engine.step(engine.encode(many[place : place + 1]), [0], [0])
        assert alike(engine, logits[place], alone[0])
