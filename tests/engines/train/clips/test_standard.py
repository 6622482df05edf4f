"""Features come to one scale, and the encoder gives them at that scale."""

import pytest

torch = pytest.importorskip("torch", reason="the [train] extra is not installed")

from engines.train.clips.reels import FeatureStream  # noqa: E402
from engines.train.clips.standard import standardise  # noqa: E402


def stream(*, validation: bool) -> FeatureStream:
    """Three features: of large mean and small deviation, of unit size, and a constant one."""
    features = torch.randn(500, 3) * torch.tensor([0.01, 1.0, 0.0]) + torch.tensor([9.0, 0, 4])
    return FeatureStream(features, torch.zeros(500, dtype=torch.long), validation)


def test_training_features_get_one_scale_and_a_constant_one_stays_harmless() -> None:
    torch.manual_seed(0)
    encoder = torch.nn.Identity()
    given = [stream(validation=False), stream(validation=True)]
    standard, found = standardise(encoder, given)
    for kind in found:
        assert kind.features[:, :2].mean(0).abs().max() < 0.15
        assert 0.3 < kind.features[:, 0].std() < kind.features[:, 1].std() < 1.2
        assert kind.features[:, 2].abs().max() < 1e-3
    torch.testing.assert_close(standard(given[1].features), found[1].features, rtol=0, atol=0)


def test_only_training_streams_decide_the_scale() -> None:
    torch.manual_seed(0)
    first, second = stream(validation=False), stream(validation=True)
    wild = FeatureStream(second.features * 100, second.labels, validation=True)
    scales = [standardise(torch.nn.Identity(), [first, x])[0].scale for x in (second, wild)]
    torch.testing.assert_close(*scales, rtol=0, atol=0)
