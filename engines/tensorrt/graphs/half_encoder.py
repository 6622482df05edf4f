"""An encoder of float32 becomes one of float16 between its inputs and its features.

TensorRT takes the precision of every layer from the graph. The head stays in float32: its rounding
errors would add up from step to step, for hours.
"""

import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper, shape_inference

from engines.errors import BuildError
from engines.model.graph import holds_float16, nodes

LARGEST = float(np.finfo(np.float16).max)  # 65,504
SMALLEST = np.finfo(np.float16).smallest_subnormal  # 6e-8
WIDE_INPUTS = {"Resize": (1, 2), "Upsample": (1,)}  # which ONNX wants in float32 always
NARROW = "features_float16"


def halved(encoder: bytes) -> bytes:
    """Copy an encoder's graph into float16; one that holds float16 already is left as it is.

    Raises `BuildError` for a weight that float16 cannot hold, and for a graph that is not valid
    afterwards.
    """
    if holds_float16(encoder):
        return encoder
    model = onnx.load_from_string(encoder)
    wide = {
        node.input[place]
        for node in nodes(model.graph)
        for place in WIDE_INPUTS.get(node.op_type, ())
        if place < len(node.input)
    }
    for tensor in model.graph.initializer:
        if tensor.name not in wide:
            _narrow(tensor)
    for node in nodes(model.graph):
        if not wide.intersection(node.output):
            _narrow_node(node)
        for names in (node.input, node.output):
            names[:] = [NARROW if name == "features" else name for name in names]
    model.graph.node.append(helper.make_node("Cast", [NARROW], ["features"], to=TensorProto.FLOAT))
    model.graph.ClearField("value_info")  # it would still say float32
    try:
        checker.check_model(shape_inference.infer_shapes(model, strict_mode=True), full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as exc:
        raise BuildError(
            f"the encoder cannot be turned into float16 ({exc}): set"
            ' gpu_precision = "float32", or export it with precision="mixed_float16"'
        ) from exc
    content: bytes = model.SerializeToString()
    return content


def _narrow_node(node: onnx.NodeProto) -> None:
    """Make a node that names its own type, a constant or a cast, give float16."""
    for attribute in node.attribute:
        if attribute.name in ("value_float", "value_floats"):  # they are float32 by their names
            values = np.array(helper.get_attribute_value(attribute), np.float32)
            tensor = numpy_helper.from_array(values, node.output[0])
            attribute.CopyFrom(helper.make_attribute("value", tensor))
        if node.op_type in ("Constant", "ConstantOfShape") and attribute.HasField("t"):
            _narrow(attribute.t)
        if (node.op_type, attribute.name, attribute.i) == ("Cast", "to", TensorProto.FLOAT):
            attribute.i = TensorProto.FLOAT16


def _narrow(tensor: onnx.TensorProto) -> None:
    if tensor.data_type != TensorProto.FLOAT:
        return
    values = numpy_helper.to_array(tensor)
    peak = float(np.abs(values[np.isfinite(values)]).max(initial=0))
    if peak > LARGEST:
        raise BuildError(
            f"the encoder's {tensor.name or 'constant'} holds {peak:,.0f}, float16 ends at"
            f' {LARGEST:,.0f}: set gpu_precision = "float32"'
        )
    narrow = values.astype(np.float16)
    if values.size == 1 and values.any() and not narrow.any():  # it may keep a divisor from zero
        narrow[...] = np.copysign(SMALLEST, values)
    tensor.CopyFrom(numpy_helper.from_array(narrow, tensor.name))
