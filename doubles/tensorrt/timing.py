"""Timing caches: what a build has measured, for the next one."""

from doubles.tensorrt.driver import Gpu, current_gpu
from doubles.tensorrt.hostmemory import IHostMemory
from doubles.tensorrt.sealed import seal, unseal, version

MAGIC = b"double of a TensorRT timing cache\n"


class ITimingCache:
    """Made by `IBuilderConfig.create_timing_cache`. `_measured` holds one key per kind of layer."""

    def __init__(self, serialized: bytes) -> None:
        gpu = current_gpu()
        self._version, self._gpu, self._capability = version(), gpu.name, list(gpu.capability)
        self._measured: set[str] = set()
        if serialized:
            header, _ = unseal(MAGIC, serialized)
            self._version, self._gpu = header["version"], header["gpu"]
            self._capability = header["capability"]
            self._measured = set(header["measured"])

    def serialize(self) -> IHostMemory:
        header = {
            "version": self._version,
            "gpu": self._gpu,
            "capability": self._capability,
            "measured": sorted(self._measured),
        }
        return IHostMemory(seal(MAGIC, header, b""))

    def combine(self, input_cache: "ITimingCache", ignore_mismatch: bool) -> bool:  # noqa: FBT001
        same_gpu = (self._gpu, self._capability) == (input_cache._gpu, input_cache._capability)
        if input_cache._version != self._version or not (same_gpu or ignore_mismatch):
            return False
        self._measured |= input_cache._measured
        return True

    def reset(self) -> bool:
        self._measured.clear()
        return True

    def _fits(self, gpu: Gpu, *, ignore_mismatch: bool) -> bool:
        same_gpu = (self._gpu, self._capability) == (gpu.name, list(gpu.capability))
        return self._version == version() and (same_gpu or ignore_mismatch)
