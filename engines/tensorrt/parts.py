"""What the GPU engine needs of a machine, and errors that say what to do where it is missing."""

import re
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from engines.errors import EngineUnavailableError

Library = Literal["tensorrt", "tensorrt_rtx"]
Capability = tuple[int, int]

OLDEST_TENSORRT = (10, 16)
OLDEST_RTX = (1, 7)
OLDEST_CAPABILITY = (7, 5)  # Turing: what CUDA 13 and TensorRT 11 still support
FIRST_GPU = 0


class NotInstalledError(EngineUnavailableError):
    """A package is not there at all."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The GPU and the libraries that a plan is built for."""

    gpu: str
    capability: Capability
    multiprocessors: int  # fewer in a slice of a GPU, which needs plans of its own
    memory_bytes: int
    driver: int  # newest CUDA version of the driver, as 13000
    tensorrt: str
    parser: int
    library: Library = "tensorrt"


def find_machine() -> Machine:
    """Describe this machine. Raises `EngineUnavailableError` for what is missing.

    Afterwards `import tensorrt` gives the library that was found.
    """
    trt, cuda = _tensorrt(), find_driver()
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
        library="tensorrt_rtx" if _is_rtx(trt) else "tensorrt",
    )
    if machine.capability < OLDEST_CAPABILITY:
        raise EngineUnavailableError(
            f"{machine.gpu} has compute capability {_dotted(machine.capability)}; TensorRT needs"
            f" {_dotted(OLDEST_CAPABILITY)} (Turing) or newer"
        )
    if _is_rtx(trt) and machine.capability not in capabilities(trt):
        raise EngineUnavailableError(
            f"{machine.gpu} has compute capability {_dotted(machine.capability)}, and TensorRT for"
            f" RTX {trt.__version__} builds for {', '.join(map(_dotted, capabilities(trt)))} alone:"
            " in longtake's repository, pip install '.[tensorrt]'"
        )
    return machine


def elsewhere(capability: Capability) -> Machine:
    """Describe any GPU of this compute capability, for plans that are made on another machine.

    Afterwards `import tensorrt` gives TensorRT for RTX, which alone can do that. Raises
    `EngineUnavailableError` where it is missing or does not know the capability.
    """
    trt = _rtx()
    if capability not in capabilities(trt):
        raise EngineUnavailableError(
            f"TensorRT for RTX {trt.__version__} does not build for {sm(capability)}; it knows"
            f" {', '.join(map(sm, capabilities(trt)))}. Plans of TensorRT itself can only be made"
            " on the GPU that they are for"
        )
    return Machine(
        gpu=f"any GPU of {sm(capability)}",
        capability=capability,
        multiprocessors=0,
        memory_bytes=0,
        driver=0,
        tensorrt=trt.__version__,
        parser=trt.get_nv_onnx_parser_version(),
        library="tensorrt_rtx",
    )


def capabilities(rtx: Any) -> list[Capability]:
    """List the compute capabilities that TensorRT for RTX builds for, in ascending order."""
    names = rtx.ComputeCapability.__members__
    return sorted(capability_of(name) for name in names if name.startswith("SM"))


def capability_of(name: str) -> Capability:
    """Read "sm89". Raises `ValueError`."""
    found = re.fullmatch(r"sm(\d{1,2})(\d)", name, re.IGNORECASE)
    if found is None:
        raise ValueError(f"{name!r} is no compute capability: write sm89 for 8.9")
    return int(found[1]), int(found[2])


def sm(capability: Capability) -> str:
    """Write "sm89"."""
    return "sm{}{}".format(*capability)


def _is_rtx(trt: Any) -> bool:
    return hasattr(trt, "ComputeCapability")


def _tensorrt() -> Any:
    """Import TensorRT or, where it is missing or cannot be used, TensorRT for RTX."""
    try:
        return _plain()
    except EngineUnavailableError as exc:
        plain = exc
    try:
        return _rtx()
    except EngineUnavailableError as rtx:
        only_rtx = isinstance(plain, NotInstalledError) and not isinstance(rtx, NotInstalledError)
        raise (rtx if only_rtx else plain) from None


def _plain() -> Any:
    trt = _imported(
        "tensorrt",
        missing="TensorRT is not installed: on a machine with an NVIDIA GPU, in longtake's"
        " repository, pip install '.[tensorrt-rtx]' for a GeForce or RTX card or"
        " pip install '.[tensorrt]' for any, or take deploy/Dockerfile.gpu",
        broken="TensorRT is installed but cannot be loaded ({}): its libraries come with"
        " tensorrt-cu13-libs, for CUDA 13",
    )
    if not _is_rtx(trt):  # else `_rtx` has put it there
        _require("TensorRT", trt, OLDEST_TENSORRT, extra="tensorrt")
    return trt


def _rtx() -> Any:
    """Let `tensorrt` be TensorRT for RTX in this process: it has the same API."""
    rtx = find_rtx()
    sys.modules["tensorrt"] = rtx
    return rtx


def find_rtx() -> Any:
    """Import TensorRT for RTX. Raises `EngineUnavailableError`."""
    rtx = _imported(
        "tensorrt_rtx",
        missing="TensorRT for RTX is not installed: in longtake's repository,"
        " pip install '.[tensorrt-rtx]'",
        broken="TensorRT for RTX is installed but cannot be loaded ({}): its libraries come with"
        " tensorrt-rtx-cu13-libs",
    )
    _require("TensorRT for RTX", rtx, OLDEST_RTX, extra="tensorrt-rtx")
    return rtx


def _require(name: str, trt: Any, oldest: tuple[int, int], *, extra: str) -> None:
    found = tuple(int(part) for part in re.findall(r"\d+", trt.__version__)[:2])
    if found < oldest:
        raise EngineUnavailableError(
            f"{name} {trt.__version__} is too old, {_dotted(oldest)} or newer is wanted:"
            f" in longtake's repository, pip install -U '.[{extra}]'"
        )


def find_driver() -> Any:
    """Import `pycuda.driver`, or where pycuda is not installed, the same calls on cuda-bindings.

    Raises `EngineUnavailableError`.
    """
    try:
        return _imported(
            "pycuda.driver",
            missing="pycuda is not installed, nor cuda-bindings, which can take its place: pip"
            " install cuda-bindings; or pip install pycuda, which needs g++ and the CUDA toolkit;"
            " or take deploy/Dockerfile.gpu, which has both",
            broken="pycuda cannot be loaded ({}): libcuda.so.1 comes with the NVIDIA driver; in a"
            " container it appears with `--gpus all`",
        )
    except NotInstalledError:
        try:
            return import_module("engines.tensorrt.driver.bindings")
        except ImportError:
            pass
        raise


def _imported(module: str, *, missing: str, broken: str) -> Any:
    """Import a module, or raise `EngineUnavailableError`.

    The message is `missing` if the package is not installed, `broken` if it does not load.
    """
    try:
        return import_module(module)
    except (ImportError, OSError) as exc:
        if isinstance(exc, ModuleNotFoundError) and exc.name == module.partition(".")[0]:
            raise NotInstalledError(missing) from exc
        raise EngineUnavailableError(broken.format(exc)) from exc


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
