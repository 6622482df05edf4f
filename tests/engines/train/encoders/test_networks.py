"""The encoder's skeletons are where they can be, and mirror as people do."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks need the extra longtake[train]")
pytest.importorskip("numba", reason="rendering needs the extra longtake[train]")

import torch

from engines.train.actions.head_training import Skeletons, true_skeletons
from engines.train.encoders.joint_networks import Encoder, normalise, to_features, to_limbs
from tests.engines.train.rendered import take


def test_joints_are_in_the_picture_and_spreads_are_positive() -> None:
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (4, 96, 96, 3), dtype=torch.uint8)
    joints, spreads = Encoder().eval()(normalise(frames))
    assert joints.shape == (4, 16, 3)
    assert joints[..., :2].abs().max() < 1
    assert spreads.min() > 0
    assert to_features(joints, spreads).shape == (4, 64)


def test_features_do_not_tell_where_in_the_picture_a_person_is() -> None:
    joints, spreads = torch.randn(5, 16, 3), torch.rand(5, 16)
    aside = joints + torch.tensor([0.3, 0.0, 0.0])
    torch.testing.assert_close(
        to_limbs(to_features(aside, spreads)), to_limbs(to_features(joints, spreads))
    )


def test_mirrored_twice_is_as_before() -> None:
    streams = true_skeletons([take(seed, length=40) for seed in range(4)])
    lanes = torch.tensor([True, False, True, True])
    twice = streams.mirror(lanes).mirror(lanes)
    for name in Skeletons.__slots__:
        np.testing.assert_array_equal(getattr(twice, name), getattr(streams, name))
    assert not torch.equal(streams.mirror(lanes).joints[0], streams.joints[0])
    assert torch.equal(streams.mirror(lanes).joints[1], streams.joints[1])
