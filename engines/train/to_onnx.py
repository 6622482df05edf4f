"""Exports PyTorch modules to ONNX graphs with a bundle's ports. The only place that does."""

import warnings
from collections.abc import Callable

import onnx
import torch
from onnx import TensorProto
from torch import Tensor, nn

OPSET = 18


class EncoderGraph(nn.Module):
    """Pixels uint8 (N, H, W, 3) -> features (N, F)."""

    def __init__(self, normalise: Callable[[Tensor], Tensor], encoder: nn.Module) -> None:
        super().__init__()
        self.normalise, self.encoder = normalise, encoder

    def forward(self, frames: Tensor) -> Tensor:
        """Normalise and encode."""
        features: Tensor = self.encoder(self.normalise(frames))
        return features


class HeadGraph(nn.Module):
    """Features (N, F) and the memory's tensors (N, ...) -> logits (N, K) and the next memory."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Take one step."""
        logits, memory = self.head.step(features, memory)
        return logits, *memory


def to_onnx(
    module: nn.Module, example: tuple[Tensor, ...], inputs: list[str], outputs: list[str]
) -> bytes:
    """Export a module; the first dimension of each input and output is dynamic."""
    rows = torch.export.Dim("N")
    shapes: tuple[object, ...] = tuple({0: rows} for _ in example)
    if isinstance(module, HeadGraph):
        shapes = (shapes[0], shapes[1:])  # the memory comes in one variadic argument
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that all inputs share N, as they must
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
    content: bytes = _cast_first(_anonymous(program.model_proto)).SerializeToString()
    return content


def _cast_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """Read the size of the pixels after their cast: TensorRT can do nothing with uint8 but cast it.

    The cast depends on nothing but the pixels, so it can be the first node of the graph.
    """
    graph = model.graph
    pixels = {v.name for v in graph.input if v.type.tensor_type.elem_type == TensorProto.UINT8}
    casts = {n.input[0]: n for n in graph.node if n.op_type == "Cast" and n.input[0] in pixels}
    for node in graph.node:
        if node.op_type == "Shape" and node.input[0] in casts:
            node.input[0] = casts[node.input[0]].output[0]
    first = list(casts.values())
    rest = [node for node in graph.node if node not in first]
    del graph.node[:]
    graph.node.extend([*first, *rest])
    return model


def _anonymous(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove metadata: it holds paths and code of the machine that exported the graph."""
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model
