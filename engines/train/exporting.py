"""Exports an encoder and a head from PyTorch to a bundle, and checks it before it is written.

`docs/bundle.md` specifies the format, `engines.model.bundle` enforces it. `engines.checks.verify`
checks that a row's answer does not depend on the other rows of its batch.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import nn

from engines.base import InputArray
from engines.checks.verify import promised, to_scores, verify
from engines.errors import BundleError, VerificationError
from engines.model.bundle import Bundle, check_graphs, load_bundle, write_bundle
from engines.model.description import Skeleton
from engines.onnxrt import onnxruntime_engine
from engines.train.half import float16_copy, within_range
from engines.train.heads import Head
from engines.train.letters_input import Letters
from engines.train.pictures import Input
from engines.train.rolling import NEVER, roll
from engines.train.to_onnx import EncoderGraph, HeadGraph, to_onnx

TOLERANCE = 1e-4  # of a logit, divided by the largest logit where that is above 1
HALF_TOLERANCE = 1e-2  # of a score, where the encoder is in float16
PROOF_INPUTS = 1000
AT_ONCE = 50  # inputs that PyTorch encodes together in the comparison: a limit of memory

Precision = Literal["float32", "mixed_float16"]  # the second as Keras calls it


@dataclass(frozen=True, slots=True)
class Model:
    """An encoder of normalised inputs -> (N, F), a head for its features, and what they mean."""

    encoder: nn.Module
    head: Head
    input: Input | Letters
    labels: Sequence[str]
    name: str = "model"
    activation: Literal["softmax", "sigmoid"] = "softmax"
    precision: Precision = "float32"
    skeleton: Skeleton | None = None  # if the features begin with joints


def export(
    encoder: nn.Module,
    head: Head,
    *,
    labels: Sequence[str],
    input: Input | Letters,  # noqa: A002 - its name in model.json
    path: Path,
    name: str = "model",
    activation: Literal["softmax", "sigmoid"] = "softmax",
    precision: Precision = "float32",
    training: Mapping[str, JsonValue] | None = None,
) -> Bundle:
    """Write encoder and head as a bundle into the folder `path`, and return it.

    Both are put into evaluation mode. With `mixed_float16` the encoder's weights and sums are in
    float16, its input, its output and the whole head in float32: for GPUs, whose engines take the
    precision from the graph. Raises `BundleError` if the networks do not fit into a bundle; the
    message names the way out. Raises `VerificationError` and writes nothing if, over 1,000 inputs
    with carried memory, the bundle's answers differ from those of PyTorch in float32.
    """
    model = Model(encoder, head, input, labels, name, activation, precision)
    bundle = to_bundle(model)
    deviation = prove(bundle, model, input.samples(PROOF_INPUTS))
    proof: dict[str, JsonValue] = {
        "precision": precision,
        "largest_deviation_from_torch": float(f"{deviation:.1e}"),
    }
    card = describe(model, proof | dict(training or {}))
    return load_bundle(write_bundle(path, card, encoder=bundle.encoder, head=bundle.head))


def to_bundle(model: Model) -> Bundle:
    """Export both networks and read them back as a bundle, so that its format is checked."""
    port = model.input.array
    inputs = torch.from_numpy(np.zeros((2, *port.shape), port.dtype))
    with torch.inference_mode():
        found, wanted = _encoder(model)(inputs).shape, (2, model.head.features)
    if found != wanted:
        raise BundleError(
            f"the encoder gives {tuple(found)} for two pictures, the head takes {wanted}:"
            " pool and flatten to one vector a picture"
        )
    names = list(model.head.memory)
    network = model.encoder if model.precision == "float32" else float16_copy(model.encoder)
    graph = EncoderGraph(model.input.normalise, network).eval()
    encoder = to_onnx(graph, (inputs,), [port.name], ["features"])
    head = to_onnx(
        HeadGraph(model.head).eval(),
        (torch.zeros(2, model.head.features), *model.head.start(2)),
        ["features", *(f"{name}_in" for name in names)],
        ["logits", *(f"{name}_out" for name in names)],
    )
    with tempfile.TemporaryDirectory() as folder:
        card = describe(model, training={})
        bundle = load_bundle(write_bundle(Path(folder), card, encoder=encoder, head=head))
    check_graphs(bundle)
    return bundle


def prove(bundle: Bundle, model: Model, inputs: InputArray) -> float:
    """Compare the bundle with PyTorch in float32 over inputs (T, *shape) of one stream.

    The bundle runs step by step, PyTorch the whole sequence at once. Returns the largest
    deviation: of a logit, or of a score if the encoder is in float16. Raises `VerificationError` if
    it is too large, if a layer's output is out of the range of float16, or if the bits of a row's
    answer depend on the other rows of its batch.
    """
    wanted = _logits(model, inputs)  # (T, K)
    engine = onnxruntime_engine(bundle, threads=2)
    verify(engine, bundle, precision=promised(bundle))
    found = roll(engine, inputs[None])[NEVER][:, 0]  # (1, T, *shape) -> (T, 1, K) -> (T, K)
    if model.precision == "float32":
        scale = max(1.0, float(np.abs(wanted).max()))
        deviation, allowed, what = float(np.abs(found - wanted).max()) / scale, TOLERANCE, "logit"
    else:
        apart = np.abs(to_scores(found, bundle.activation) - to_scores(wanted, bundle.activation))
        deviation, allowed, what = float(apart.max()), HALF_TOLERANCE, "score"
    if not deviation < allowed:  # NaN fails as well
        raise VerificationError(
            f"the exported graphs deviate from PyTorch by {deviation:.1e} in a {what} over"
            f" {len(inputs)} frames; less than {allowed:.0e} is wanted, so no bundle is written"
        )
    return deviation


def describe(model: Model, training: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the contents of `model.json`, without the digests of the files."""
    skeleton = (
        {} if model.skeleton is None else {"skeleton": model.skeleton.model_dump(mode="json")}
    )
    return {
        "schema": 1,
        "name": model.name,
        "labels": list(model.labels),
        "activation": model.activation,
        "input": model.input.describe(),
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
        **skeleton,
        "training": dict(training),
    }


def _encoder(model: Model) -> EncoderGraph:
    graph: EncoderGraph = EncoderGraph(model.input.normalise, model.encoder).eval()
    return graph


@torch.inference_mode()
def _logits(model: Model, inputs: InputArray) -> NDArray[np.float32]:
    graph, parts = _encoder(model), torch.from_numpy(inputs).split(AT_ONCE)
    watch = nullcontext() if model.precision == "float32" else within_range(model.encoder)
    with watch:
        features = torch.cat([graph(part) for part in parts])  # (T, F)
    logits, _ = model.head.eval()(features[:, None], model.head.start(1))  # (T, 1, K)
    answer: NDArray[np.float32] = logits[:, 0].numpy()
    return answer
