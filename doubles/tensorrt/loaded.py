"""A plan in memory, as an engine and all its contexts share it."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from doubles.tensorrt import ports
from doubles.tensorrt.plan import Plan
from doubles.tensorrt.ports import Port, Shape

SCRATCH_ALIGNMENT = 256


class Loaded:
    """ONNX Runtime on one thread stands for the GPU's kernels."""

    def __init__(self, plan: Plan) -> None:
        self.profiles = plan.profiles
        self.model = onnx.load_from_string(plan.onnx)
        self.inputs = {port.name: port for port in ports.inputs(self.model)}
        self.outputs = {port.name: port for port in ports.outputs(self.model)}
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            plan.onnx, options, providers=["CPUExecutionProvider"]
        )
        self._known: dict[tuple[Shape, ...], dict[str, Shape]] = {}

    @cached_property
    def all_ports(self) -> dict[str, Port]:
        """Inputs first, as TensorRT numbers them."""
        return self.inputs | self.outputs

    @property
    def dynamic(self) -> bool:
        """Whether a profile has to be chosen."""
        return any(port.dynamic for port in self.inputs.values())

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Compute all outputs. Raises whatever ONNX Runtime raises."""
        return dict(
            zip(self.outputs, self._session.run(list(self.outputs), dict(feeds)), strict=True)
        )

    def output_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Say what comes out for `shapes` of all inputs, by names of dimensions or by a run."""
        sizes = {
            symbol: size
            for name, port in self.inputs.items()
            for symbol, size in zip(port.symbols, shapes[name], strict=True)
            if symbol
        }
        if all(port.follows(sizes) for port in self.outputs.values()):
            return {name: port.sized(sizes) for name, port in self.outputs.items()}
        key = tuple(shapes[name] for name in self.inputs)
        if key not in self._known:
            zeros = {n: np.zeros(shapes[n], p.numpy_dtype) for n, p in self.inputs.items()}
            self._known[key] = {name: array.shape for name, array in self.run(zeros).items()}
        return self._known[key]

    def scratch_bytes(self, profile: int) -> int:
        """How much memory a context of a profile works in: as much as its largest outputs."""
        ranges = self.profiles[profile]
        largest = {n: ranges[n][2] if n in ranges else p.shape for n, p in self.inputs.items()}
        shapes = self.output_shapes(largest)
        size = sum(port.size(shapes[name]) for name, port in self.outputs.items())
        return -(-size // SCRATCH_ALIGNMENT) * SCRATCH_ALIGNMENT
