"""What the GPU engine needs of a machine, and errors that say what to do where it is missing."""

import re
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from engines.errors import EngineUnavailableError

OLDEST_TENSORRT = (10, 16)
OLDEST_CAPABILITY = (7, 5)  # Turing: what CUDA 13 and TensorRT 11 still support
FIRST_GPU = 0


@dataclass(frozen=True, slots=True)
class Machine:
    """The GPU and the libraries that a plan is built for."""

    gpu: str
    capability: tuple[int, int]
    multiprocessors: int  # fewer in a slice of a GPU, which needs plans of its own
    memory_bytes: int
    driver: int  # newest CUDA version of the driver, as 13000
    tensorrt: str
    parser: int


def find_machine() -> Machine:
    """Describe this machine. Raises `EngineUnavailableError` for what is missing."""
    trt, cuda = _tensorrt(), _pycuda()
    try:
        cuda.init()
        count = cuda.Device.count()
    except cuda.Error as exc:
        raise EngineUnavailableError(
            f"the NVIDIA driver finds no GPU ({exc}): see what `nvidia-smi` says; in a container,"
            " start it with `--gpus all`"
        ) from exc
    if count == 0:
        raise EngineUnavailableError(
            "the NVIDIA driver is here, but no GPU: CUDA_VISIBLE_DEVICES may hide it"
        )
    device = cuda.Device(FIRST_GPU)
    machine = Machine(
        gpu=device.name(),
        capability=device.compute_capability(),
        multiprocessors=device.get_attribute(cuda.device_attribute.MULTIPROCESSOR_COUNT),
        memory_bytes=device.total_memory(),
        driver=cuda.get_driver_version(),
        tensorrt=trt.__version__,
        parser=trt.get_nv_onnx_parser_version(),
    )
    if machine.capability < OLDEST_CAPABILITY:
        raise EngineUnavailableError(
            f"{machine.gpu} has compute capability {_dotted(machine.capability)}; TensorRT needs"
            f" {_dotted(OLDEST_CAPABILITY)} (Turing) or newer"
        )
    return machine


def _tensorrt() -> Any:
    trt = _imported(
        "tensorrt",
        missing="TensorRT is not installed: on a machine with an NVIDIA GPU, in longtake's"
        " repository, pip install '.[tensorrt]', or take deploy/Dockerfile.gpu",
        broken="TensorRT is installed but cannot be loaded ({}): its libraries come with"
        " tensorrt-cu13-libs, for CUDA 13",
    )
    found = tuple(int(part) for part in re.findall(r"\d+", trt.__version__)[:2])
    if found < OLDEST_TENSORRT:
        raise EngineUnavailableError(
            f"TensorRT {trt.__version__} is too old, {_dotted(OLDEST_TENSORRT)} or newer is wanted:"
            " in longtake's repository, pip install -U '.[tensorrt]'"
        )
    return trt


def _pycuda() -> Any:
    return _imported(
        "pycuda.driver",
        missing="pycuda is not installed: pip install pycuda, which needs g++ and the CUDA toolkit,"
        " or take deploy/Dockerfile.gpu, which has it",
        broken="pycuda cannot be loaded ({}): libcuda.so.1 comes with the NVIDIA driver; in a"
        " container it appears with `--gpus all`",
    )


def _imported(module: str, *, missing: str, broken: str) -> Any:
    """Import a module, or raise `EngineUnavailableError`.

    The message is `missing` if the package is not installed, `broken` if it does not load.
    """
    try:
        return import_module(module)
    except (ImportError, OSError) as exc:
        absent = isinstance(exc, ModuleNotFoundError) and exc.name == module.partition(".")[0]
        raise EngineUnavailableError(missing if absent else broken.format(exc)) from exc


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
