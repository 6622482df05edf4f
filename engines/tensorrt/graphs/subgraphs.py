"""The graph of a step for TensorRT, made of the bundle's head.

It is the head between a gather from the tables on the device and a count of numbers that are not
finite, so that neither features nor state leave the device.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

from engines.model.bundle import Bundle
from engines.model.description import StateSpec

MOST_INPUTS = 1024  # of one `encode`
FLOATS = ("float32", "float16")
op = helper.make_node


def table_of(name: str) -> str:
    """The name of the input that holds the whole table of a state tensor."""
    return f"longtake_table_{name}"


ENCODED, PICKS, ROWS = "longtake_features", "longtake_picks", "longtake_rows"
BROKEN = "longtake_broken"  # output (M,): how many numbers of a row are not finite


def chosen(bundle: Bundle) -> tuple[str, ...]:
    """The inputs (M,) that choose features and rows: TensorRT drops an input that nothing uses."""
    return (PICKS, ROWS) if bundle.state else (PICKS,)


def step_graph(bundle: Bundle) -> bytes:
    """The head as one graph over tables.

    Inputs: features (1024, F), `picks` (M,) int32 and, if there is state, `rows` (M,) int32 and the
    table (places, *shape) of each state tensor. Outputs: logits (M, K), each new state (M, *shape),
    and how many numbers of each row are not finite (M,) float32.
    """
    model = onnx.load_from_string(bundle.head)
    graph = model.graph
    gathered = {"features": (ENCODED, PICKS)}
    gathered |= {spec.input: (table_of(spec.name), ROWS) for spec in bundle.state}
    given = [value for value in graph.input if value.name not in gathered]
    del graph.input[:]
    graph.input.extend([*given, *_inputs(bundle)])
    gathers = [op("Gather", [*of], [name], axis=0) for name, of in gathered.items()]
    nodes = [*gathers, *graph.node, *_count_broken(bundle)]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), f"{BROKEN}_axes"))
    graph.output.append(helper.make_tensor_value_info(BROKEN, TensorProto.FLOAT, ["M"]))
    content: bytes = model.SerializeToString()
    return content


def _inputs(bundle: Bundle) -> list[onnx.ValueInfoProto]:
    value = helper.make_tensor_value_info
    return [
        value(ENCODED, TensorProto.FLOAT, [MOST_INPUTS, bundle.features]),
        *(value(name, TensorProto.INT32, ["M"]) for name in chosen(bundle)),
        *(
            value(table_of(spec.name), _type(spec), ["places", *spec.shape])
            for spec in bundle.state
        ),
    ]


def _type(spec: StateSpec) -> int:
    return helper.np_dtype_to_tensor_dtype(spec.numpy_dtype)


def _count_broken(bundle: Bundle) -> list[onnx.NodeProto]:
    """Count, not compare with a maximum: on GPUs the larger of NaN and a number is the number."""
    nodes: list[onnx.NodeProto] = []
    counts = []
    floats = [spec.output for spec in bundle.state if spec.dtype in FLOATS]
    for i, name in enumerate(["logits", *floats]):
        mark = f"{BROKEN}_{i}"
        nodes += [
            op("Cast", [name], [f"{mark}_wide"], to=TensorProto.FLOAT),  # for IsInf before opset 20
            op("IsNaN", [f"{mark}_wide"], [f"{mark}_nan"]),
            op("IsInf", [f"{mark}_wide"], [f"{mark}_inf"]),
            op("Or", [f"{mark}_nan", f"{mark}_inf"], [f"{mark}_either"]),
            op("Cast", [f"{mark}_either"], [f"{mark}_ones"], to=TensorProto.FLOAT),
            op("Flatten", [f"{mark}_ones"], [f"{mark}_flat"], axis=1),  # (M, all numbers)
            op("ReduceSum", [f"{mark}_flat", f"{BROKEN}_axes"], [mark], keepdims=0),  # (M,)
        ]
        counts.append(mark)
    return [*nodes, op("Sum", counts, [BROKEN])]
