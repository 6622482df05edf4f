"""What TF32 costs: GPUs that have it keep ten bits of float32 in products, unless told not to.

Here the weights are rounded, which is enough for a test of parity to see that the flag is on.
"""

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

FIRST_CAPABILITY = (8, 0)  # Ampere
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
DROPPED_BITS = 13  # of float32's 23


def rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy a model, with the float32 weights of its products in ten bits."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    used = {n for node in copy.graph.node if node.op_type in PRODUCTS for n in node.input}
    for tensor in copy.graph.initializer:
        if tensor.name in used and tensor.data_type == TensorProto.FLOAT:
            bits = numpy_helper.to_array(tensor).view(np.uint32)
            half = np.uint32(1 << (DROPPED_BITS - 1))
            kept = (bits + half) >> DROPPED_BITS << DROPPED_BITS
            tensor.CopyFrom(numpy_helper.from_array(kept.view(np.float32), tensor.name))
    return copy
