"""Turns an encoder and a head of PyTorch into a bundle, and proves it before it is written.

What a bundle is, `docs/bundle.md` says and `engines.bundle` enforces; that an engine's rows do not
depend on their batch, `engines.verify` proves. Both have their say before a bundle is kept.
"""

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor, nn

from engines.bundle import Bundle, load_bundle, write_bundle
from engines.errors import BundleError, VerificationError
from engines.onnxrt import OnnxRuntimeEngine
from engines.train.heads import Head
from engines.train.rolling import NEVER, roll
from engines.verify import verify

OPSET = 18
TOLERANCE = 1e-4  # of a logit against PyTorch, relative where the largest logit is above one
PROOF_FRAMES = 1000
AT_ONCE = 50  # frames of the proof that PyTorch encodes together

Frames = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Input:
    """What pictures a model was trained on: size in pixels, and (x - mean) / std of 0 to 255.

    `fit` says how others are brought to this size: stretch, letterbox or crop. `rate_hz` is the
    frame rate of the training, None where it does not matter. torchvision's usual numbers are
    `IMAGENET_MEAN` and `IMAGENET_STD`.
    """

    height: int
    width: int
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    rate_hz: float | None = None

    def normalise(self, frames: Tensor) -> Tensor:
        """Pixels uint8 (N, H, W, 3) -> float32 (N, 3, H, W)."""
        shifted = frames.float() - torch.tensor(self.mean)
        return (shifted / torch.tensor(self.std)).permute(0, 3, 1, 2)


IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True, slots=True)
class Model:
    """An encoder (N, 3, H, W) -> (N, F), a head for its features, and what they mean."""

    encoder: nn.Module
    head: Head
    input: Input
    labels: Sequence[str]
    name: str = "model"
    activation: Literal["softmax", "sigmoid"] = "softmax"


def export(
    encoder: nn.Module,
    head: Head,
    *,
    labels: Sequence[str],
    input: Input,  # noqa: A002 - what it is called in model.json
    path: Path,
    name: str = "model",
    activation: Literal["softmax", "sigmoid"] = "softmax",
    training: Mapping[str, JsonValue] | None = None,
) -> Bundle:
    """Write a bundle into folder `path` that answers as the two do, and return it.

    Both are put into evaluation mode. Raises `BundleError` for an op that cannot be in a bundle,
    with what to write instead, and `VerificationError` if over 1,000 frames with carried memory
    the bundle's logits are not PyTorch's; nothing is written then.
    """
    model = Model(encoder, head, input, labels, name, activation)
    bundle = to_bundle(model)
    deviation = prove(bundle, model, film(input, PROOF_FRAMES))
    told = {"largest_deviation_from_torch": float(f"{deviation:.1e}")} | dict(training or {})
    card = describe(model, told)
    return load_bundle(write_bundle(path, card, encoder=bundle.encoder, head=bundle.head))


def to_bundle(model: Model) -> Bundle:
    """Export both networks and read them back as a bundle, which refuses what breaks its format."""
    frames = torch.zeros(2, model.input.height, model.input.width, 3, dtype=torch.uint8)
    with torch.inference_mode():
        found, wanted = _EncoderGraph(model).eval()(frames).shape, (2, model.head.features)
    if found != wanted:
        raise BundleError(
            f"the encoder gives {tuple(found)} for two pictures, the head takes {wanted}:"
            " pool and flatten to one vector a picture"
        )
    names = list(model.head.memory)
    encoder = _export(_EncoderGraph(model).eval(), (frames,), ["frames"], ["features"])
    head = _export(
        _HeadGraph(model.head).eval(),
        (torch.zeros(2, model.head.features), *model.head.start(2)),
        ["features", *(f"{name}_in" for name in names)],
        ["logits", *(f"{name}_out" for name in names)],
    )
    with tempfile.TemporaryDirectory() as folder:
        card = describe(model, training={})
        return load_bundle(write_bundle(Path(folder), card, encoder=encoder, head=head))


def prove(bundle: Bundle, model: Model, frames: Frames) -> float:
    """Hold the bundle against PyTorch over frames (T, H, W, 3) of one stream.

    The bundle goes step by step, PyTorch runs the whole sequence at once. Returns the largest
    deviation of a logit. Raises `VerificationError` if it is too large, or if a row's bits depend
    on the batch that it is in.
    """
    engine = OnnxRuntimeEngine(bundle, threads=2)
    verify(engine, bundle)
    found = roll(engine, frames[None])[NEVER][:, 0]
    wanted = _logits(model, frames)
    scale = max(1.0, float(np.abs(wanted).max()))
    deviation = float(np.abs(found - wanted).max()) / scale
    if not deviation < TOLERANCE:  # NaN is no pass either
        raise VerificationError(
            f"the exported graphs deviate from PyTorch by {deviation:.1e} in a logit over"
            f" {len(frames)} frames; less than {TOLERANCE:.0e} is wanted, so no bundle is written"
        )
    return deviation


def film(shape: Input, length: int, seed: int = 0) -> Frames:
    """Draw frames (T, H, W, 3) of coarse blocks that drift: to a network, noise looks all alike."""
    rng = np.random.default_rng(seed)
    canvas = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    rows, columns = np.arange(shape.height) * 7 // shape.height, np.arange(shape.width) * 7
    frames = np.empty((length, shape.height, shape.width, 3), np.uint8)
    for t in range(length):
        down, right = (t // 3) % 32, (t // 5) % 32
        moved = np.roll(canvas, (-down, -right), (0, 1))
        frames[t] = moved[rows][:, columns // shape.width]
        canvas[rng.integers(32), rng.integers(32)] = rng.integers(0, 256, 3)
    return frames


def describe(model: Model, training: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Fill in `model.json`, all but the digests of the files."""
    return {
        "schema": 1,
        "name": model.name,
        "labels": list(model.labels),
        "activation": model.activation,
        "input": {
            "height": model.input.height,
            "width": model.input.width,
            "fit": model.input.fit,
            "colour": "rgb",
            "mean": list(model.input.mean),
            "std": list(model.input.std),
            "rate_hz": model.input.rate_hz,
        },
        "features": model.head.features,
        "state": [
            {
                "name": name,
                "input": f"{name}_in",
                "output": f"{name}_out",
                "shape": list(shape),
                "dtype": "float32",
            }
            for name, shape in model.head.memory.items()
        ],
        "training": dict(training),
    }


class _EncoderGraph(nn.Module):
    """Pixels uint8 (N, H, W, 3) -> features (N, F)."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.input, self.encoder = model.input, model.encoder

    def forward(self, frames: Tensor) -> Tensor:
        features: Tensor = self.encoder(self.input.normalise(frames))
        return features


class _HeadGraph(nn.Module):
    """Features (N, F) and the memory's tensors -> logits (N, K) and the tensors."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        logits, memory = self.head.step(features, memory)
        return logits, *memory


def _export(
    module: nn.Module, example: tuple[Tensor, ...], inputs: list[str], outputs: list[str]
) -> bytes:
    rows = torch.export.Dim("N")
    shapes: tuple[object, ...] = tuple({0: rows} for _ in example)
    if isinstance(module, _HeadGraph):
        shapes = (shapes[0], shapes[1:])  # the memory comes in one variadic argument
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says that all inputs share N, which is what we want
        program = torch.onnx.export(
            module,
            example,
            input_names=inputs,
            output_names=outputs,
            opset_version=OPSET,
            dynamic_shapes=shapes,
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
def _logits(model: Model, frames: Frames) -> NDArray[np.float32]:
    graph = _EncoderGraph(model).eval()
    features = torch.cat([graph(part) for part in torch.from_numpy(frames).split(AT_ONCE)])
    logits, _ = model.head.eval()(features[:, None], model.head.start(1))
    answer: NDArray[np.float32] = logits[:, 0].numpy()
    return answer
