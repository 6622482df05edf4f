"""A plan: the graph, the shapes it takes, and the machine and version that alone may load it."""

from dataclasses import dataclass
from typing import Any

from tensorrt_bindings import HardwareCompatibilityLevel

from doubles.tensorrt.driver import Gpu
from doubles.tensorrt.profile import Range
from doubles.tensorrt.sealed import SealedError, seal, unseal, version

MAGIC = b"double of a TensorRT plan\n"
AMPERE = [8, 0]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build leaves."""

    onnx: bytes
    profiles: list[dict[str, Range]]

    def sealed(self, gpu: Gpu, hardware: HardwareCompatibilityLevel) -> bytes:
        """Write it, for `gpu` and this version."""
        header = {
            "version": version(),
            "gpu": gpu.name,
            "capability": gpu.capability,
            "hardware": int(hardware),
            "profiles": self.profiles,
        }
        return seal(MAGIC, header, self.onnx)


def unsealed(sealed: bytes, gpu: Gpu) -> Plan:
    """Read a plan on `gpu`. Raises `SealedError` for one that TensorRT would not take."""
    header, graph = unseal(MAGIC, sealed)
    if header["version"] != version():
        raise SealedError(
            "the plan is not compatible with this version of TensorRT, expecting"
            f" {version()}, got {header['version']}"
        )
    if not _runs_on(gpu, header):
        raise SealedError(
            f"the plan was made on {header['gpu']}, compute {header['capability']}, and is not"
            f" compatible with {gpu.name}, compute {gpu.capability}"
        )
    profiles = [{n: _range(shapes) for n, shapes in p.items()} for p in header["profiles"]]
    return Plan(graph, profiles)


def _runs_on(gpu: Gpu, header: dict[str, Any]) -> bool:
    capability = list(gpu.capability)
    if header["hardware"] == int(HardwareCompatibilityLevel.AMPERE_PLUS):
        return bool(min(capability, header["capability"]) >= AMPERE)
    if header["hardware"] == int(HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY):
        return bool(capability == header["capability"])
    return (gpu.name, capability) == (header["gpu"], header["capability"])


def _range(shapes: list[list[int]]) -> Range:
    smallest, usual, largest = shapes
    return tuple(smallest), tuple(usual), tuple(largest)
