"""The article's network: its shape, its sameness from run to run, and that it does not explode."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from engines.checks.verify import verify
from engines.host import HostEngine
from engines.model.bundle import Bundle, load_bundle
from engines.model.seed import write_seed
from engines.onnxrt import onnxruntime_engine


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(write_seed(tmp_path_factory.mktemp("seed")))


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> HostEngine:
    return onnxruntime_engine(bundle, threads=2)


def test_it_has_the_layers_of_the_article(bundle: Bundle) -> None:
    nodes = [node.op_type for node in onnx.load_from_string(bundle.encoder).graph.node]
    assert nodes == [
        *("Cast", "Mul", "Transpose"),
        *("Conv", "Relu", "MaxPool") * 3,
        *("Flatten", "Gemm"),
    ]
    assert bundle.input.array.shape == (224, 224, 3)
    assert [spec.shape for spec in bundle.state] == [(128,), (128,)]
    assert bundle.labels == tuple("0123456789")


def test_equal_seeds_give_equal_bytes(bundle: Bundle, tmp_path: Path) -> None:
    assert load_bundle(write_seed(tmp_path / "again")) == bundle
    assert load_bundle(write_seed(tmp_path / "other", seed=1)).digest != bundle.digest


def test_the_engine_agrees_with_the_oracle(bundle: Bundle, engine: HostEngine) -> None:
    assert verify(engine, bundle).scores < 1e-6


def test_memory_stays_small_over_2000_frames(engine: HostEngine) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 224, 224, 3), dtype=np.uint8)
    pixels[0] = 255
    features = engine.encode(pixels)
    engine.reserve(9)
    engine.zero([8])
    for pick in rng.integers(0, 8, 2000):
        engine.step(features, [pick], [8])
    assert 0.1 < np.abs(engine.read([8])["c"]).max() < 1
