"""The demo's data set: drawn anew, apart from training, and only for who can be measured on it."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("numba", reason="the [train] extra is not installed")

from engines.errors import BundleError
from engines.model.bundle import Bundle
from engines.train.evaluation.answers import count_onsets
from engines.train.evaluation.demo import demo_data
from engines.train.people.streams import ACTIONS
from tests.engines.bundles import tiny
from tests.engines.train.rendered import take


def first_labels(bundle: Bundle, seed: int) -> list[list[int]]:
    """Of the first stream of each test."""
    tests = demo_data(bundle, seed=seed, streams=1).tests
    return [[label for _, label in stream.frames] for t in tests.values() for stream in t.streams]


def test_a_bundle_of_other_labels_is_told_to_bring_its_own_data(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"tiny@.* its labels are stand, walk, run.*your own"):
        demo_data(tiny(tmp_path), seed=7001, streams=1)


def test_a_bundle_of_another_rate_is_refused(tmp_path: Path) -> None:
    slow = tiny(tmp_path, labels=ACTIONS, rate_hz=10.0)
    with pytest.raises(BundleError, match=r"wants 10 frames/s, the takes have 15"):
        demo_data(slow, seed=7001, streams=1)


def test_seeds_of_training_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2000 or more"):
        demo_data(tiny(tmp_path, labels=ACTIONS), seed=1999, streams=1)


def test_pictures_have_the_size_that_the_bundle_wants(tmp_path: Path) -> None:
    data = demo_data(tiny(tmp_path, labels=ACTIONS), seed=7001, streams=3)
    streams = list(data.tests["a"].streams)
    assert len(streams) == 3
    frames = list(streams[0].frames)
    assert len(frames) == 300
    assert frames[0][0].shape == (16, 16, 3)
    assert data.tests["a"].frames == 900


def test_a_seed_draws_the_same_streams_again_and_another_draws_others(tmp_path: Path) -> None:
    bundle = tiny(tmp_path, labels=ACTIONS)
    a, b = first_labels(bundle, 7001)
    assert a != b
    assert first_labels(bundle, 7001) == [a, b]
    assert first_labels(bundle, 7002)[0] != a


def test_onsets_counted_from_labels_are_those_of_the_take() -> None:
    for seed in range(5):
        one = take(seed)
        np.testing.assert_array_equal(count_onsets(one.labels), one.onsets)
