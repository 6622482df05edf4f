"""An encoder in float16: half the bytes, near answers, and refused where it overflows."""

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("torch", reason="exporting needs the extra longtake[train]")
pytest.importorskip("timm", reason="exporting needs the extra longtake[train]")
pytest.importorskip("onnxscript", reason="exporting needs the extra longtake[train]")

import timm
import torch
from onnx import TensorProto
from torch import nn

from engines.errors import BundleError, VerificationError
from engines.load import load_engine
from engines.model.bundle import Bundle, load_bundle
from engines.model.lint import complaints
from engines.train.encoders.article import ArticleEncoder, article_head
from engines.train.exporting import Model, Precision, export, prove, to_bundle
from engines.train.heads import make_head
from engines.train.pictures import Input

SIDE = 48
LABELS = ["a", "b", "c"]


def article() -> tuple[nn.Module, nn.Module]:
    return ArticleEncoder(SIDE), article_head(3)


def residual() -> tuple[nn.Module, nn.Module]:
    network = timm.create_model("test_resnet", num_classes=0)  # 0.4 M weights, for tests
    return network, make_head("gru", 3, features=network.num_features, units=32)


NETWORKS = {"the article's": article, "a ResNet of timm": residual}


@cache
def model(network: str, precision: Precision) -> Model:
    torch.manual_seed(0)
    encoder, head = NETWORKS[network]()
    pictures = Input(SIDE, SIDE, mean=(120.0,) * 3, std=(60.0,) * 3)
    return Model(encoder.eval(), head, pictures, LABELS, precision=precision)


@cache
def bundle(network: str, precision: Precision) -> Bundle:
    return to_bundle(model(network, precision))


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_all_weights_of_the_encoder_are_float16_and_take_half_the_bytes(network: str) -> None:
    half, full = bundle(network, "mixed_float16"), bundle(network, "float32")
    weights = onnx.load_from_string(half.encoder).graph.initializer
    kinds = {tensor.data_type for tensor in weights if np.prod(tensor.dims) > 3}
    assert TensorProto.FLOAT16 in kinds
    assert TensorProto.FLOAT not in kinds  # but for the three numbers of mean and of std
    assert len(half.encoder) == pytest.approx(len(full.encoder) / 2, rel=0.1)  # the graph is there
    assert len(half.head) == len(full.head)


def test_scores_are_near_those_of_float32_and_not_the_same(network: str) -> None:
    mixed = model(network, "mixed_float16")
    assert 0 < prove(bundle(network, "mixed_float16"), mixed, mixed.input.samples(40)) < 1e-2


def test_tensorrt_takes_it_as_far_as_we_can_tell(network: str) -> None:
    assert complaints(bundle(network, "mixed_float16")) == []


def test_the_encoder_itself_stays_as_it_was(network: str) -> None:
    bundle(network, "mixed_float16")
    encoder = model(network, "mixed_float16").encoder
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}


def test_an_exported_bundle_says_its_precision_and_is_loaded_like_any_other(
    tmp_path: Path,
) -> None:
    one = model("the article's", "mixed_float16")
    export(
        one.encoder,
        one.head,
        labels=LABELS,
        input=one.input,
        path=tmp_path,
        precision="mixed_float16",
    )
    written = load_bundle(tmp_path)
    assert written.training["precision"] == "mixed_float16"
    load_engine("onnxruntime", written, threads=1)


def with_weights(factor: float) -> Model:
    """The article's encoder, its second convolution `factor` times as strong."""
    torch.manual_seed(0)
    encoder, head = article()
    with torch.no_grad():
        encoder.convolutions[3].weight.mul_(factor)
    return Model(encoder, head, Input(SIDE, SIDE), LABELS, precision="mixed_float16")


def test_a_layer_that_gives_more_than_float16_holds_is_named_with_the_way_out() -> None:
    loud, any_bundle = with_weights(1e6), bundle("the article's", "mixed_float16")
    words = r"convolutions\.3 \(Conv2d\) gives [\d,]+, float16 ends at 65,504.* precision=\"float32"
    with pytest.raises(VerificationError, match=words):
        prove(any_bundle, loud, loud.input.samples(4))


def test_a_weight_that_float16_cannot_hold_is_named_with_the_way_out() -> None:
    words = r"convolutions\.3\.weight holds [\d,]+, float16 ends at 65,504: .*precision=\"float32"
    with pytest.raises(BundleError, match=words):
        to_bundle(with_weights(1e8))
