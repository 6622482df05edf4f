"""Turns trained networks into the graphs of a bundle and proves them against PyTorch.

What a bundle is, `docs/bundle.md` says and `engines.bundle` enforces; that an engine's rows do not
depend on their batch, `engines.verify` proves. Both have their say here before a bundle is kept.
"""

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor, nn

from engines.bundle import Bundle, load_bundle, write_bundle
from engines.errors import VerificationError
from engines.onnxrt import OnnxRuntimeEngine
from engines.train.networks import (
    FEATURES,
    PIXEL_MEAN,
    PIXEL_STD,
    UNITS,
    Encoder,
    Head,
    normalise,
    to_features,
)
from engines.train.rolling import NEVER, roll
from engines.train.streams import ACTIONS, RATE_HZ
from engines.verify import verify

OPSET = 18
TOLERANCE = 1e-4  # of a logit, against PyTorch


@dataclass(frozen=True, slots=True)
class Models:
    """What was trained, and for pictures of which size."""

    encoder: Encoder
    head: Head
    height: int
    width: int


class _EncoderGraph(nn.Module):
    """Pixels uint8 (N, H, W, 3) -> features (N, 62)."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, frames: Tensor) -> Tensor:
        return to_features(*self.encoder(normalise(frames)))


class _HeadGraph(nn.Module):
    """Features (N, 62), h and c (N, 128) -> logits (N, K), h and c."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor, h_in: Tensor, c_in: Tensor) -> tuple[Tensor, ...]:
        return self.head.step(features, h_in, c_in)


def to_bundle(models: Models) -> Bundle:
    """Export both networks and read them back as a bundle, which refuses what breaks its format."""
    frames = torch.zeros(2, models.height, models.width, 3, dtype=torch.uint8)
    state = Head.start(2)
    encoder = _export(_EncoderGraph(models.encoder), (frames,), ["frames"], ["features"])
    head = _export(
        _HeadGraph(models.head),
        (torch.zeros(2, FEATURES), *state),
        ["features", "h_in", "c_in"],
        ["logits", "h_out", "c_out"],
    )
    with tempfile.TemporaryDirectory() as folder:
        card = describe(models.height, models.width, training={})
        return load_bundle(write_bundle(Path(folder), card, encoder=encoder, head=head))


def prove(bundle: Bundle, models: Models, frames: NDArray[np.uint8]) -> float:
    """Hold the bundle against PyTorch over frames (T, H, W, 3) of one stream.

    The bundle goes step by step, PyTorch runs the whole sequence at once. Returns the largest
    deviation of a logit. Raises `VerificationError` if it is 1e-4 or more, or if a row's bits
    depend on the batch that it is in.
    """
    engine = OnnxRuntimeEngine(bundle, threads=2)
    verify(engine, bundle)
    found = roll(engine, frames[None])[NEVER][:, 0]
    deviation = float(np.abs(found - _logits(models, frames)).max())
    if not deviation < TOLERANCE:  # NaN is no pass either
        raise VerificationError(
            f"the exported graphs deviate from PyTorch by {deviation:.1e} in a logit over"
            f" {len(frames)} frames; less than {TOLERANCE:.0e} is wanted, so no bundle is written"
        )
    return deviation


def describe(height: int, width: int, training: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Fill in `model.json`, all but the digests of the files."""
    return {
        "schema": 1,
        "name": "actions",
        "labels": list(ACTIONS),
        "activation": "softmax",
        "input": {
            "height": height,
            "width": width,
            "fit": "stretch",
            "colour": "rgb",
            "mean": [PIXEL_MEAN] * 3,
            "std": [PIXEL_STD] * 3,
            "rate_hz": RATE_HZ,
        },
        "features": FEATURES,
        "state": [_describe_state(name) for name in ("h", "c")],
        "training": dict(training),
    }


def _describe_state(name: str) -> JsonValue:
    return {
        "name": name,
        "input": f"{name}_in",
        "output": f"{name}_out",
        "shape": [UNITS],
        "dtype": "float32",
    }


def _export(
    module: nn.Module, example: tuple[Tensor, ...], inputs: list[str], outputs: list[str]
) -> bytes:
    rows = torch.export.Dim("N")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says that all inputs share N, which is what we want
        program = torch.onnx.export(
            module.eval(),
            example,
            input_names=inputs,
            output_names=outputs,
            opset_version=OPSET,
            dynamic_shapes=tuple({0: rows} for _ in example),
            dynamo=True,
            verbose=False,
        )
    content: bytes = _anonymous(program.model_proto).SerializeToString()
    return content


def _anonymous(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop the notes about the code and the machine that a node came from."""
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model


@torch.inference_mode()
def _logits(models: Models, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    graph = _EncoderGraph(models.encoder).eval()
    features = torch.cat([graph(part) for part in torch.from_numpy(frames).split(100)])
    logits, _, _ = models.head.eval()(features[:, None], *Head.start(1))
    answer: NDArray[np.float32] = logits[:, 0].numpy()
    return answer
