"""How a plan is to be built."""

from tensorrt_bindings import (
    BuilderFlag,
    ErrorCodeTRT,
    HardwareCompatibilityLevel,
    IProgressMonitor,
    MemoryPoolType,
    ProfilingVerbosity,
)

from doubles.tensorrt.driver import Gpu, current_gpu
from doubles.tensorrt.profile import IOptimizationProfile, Range
from doubles.tensorrt.sealed import SealedError
from doubles.tensorrt.timing import ITimingCache
from doubles.tensorrt.trouble import Reporting, wanted

HIGHEST_LEVEL = 5


class IBuilderConfig:
    """Made by `Builder.create_builder_config`. Attributes that no check needs are only kept."""

    def __init__(self, reporter: Reporting) -> None:
        self._reporter = reporter
        self._gpu = current_gpu()
        self._flags = 1 << int(BuilderFlag.TF32)
        self._pools = {MemoryPoolType.WORKSPACE: self._gpu.memory_bytes}
        self._profiles: list[dict[str, Range]] = []
        self._cache: ITimingCache | None = None
        self._level = 3
        self._monitor: IProgressMonitor | None = None
        self._hardware = HardwareCompatibilityLevel.NONE
        self._verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self._aux_streams = -1  # TensorRT decides

    @property
    def flags(self) -> int:
        return self._flags

    @flags.setter
    def flags(self, flags: int) -> None:
        self._flags = wanted(flags, int)

    def set_flag(self, flag: BuilderFlag) -> None:
        self._flags |= 1 << int(wanted(flag, BuilderFlag))

    def clear_flag(self, flag: BuilderFlag) -> None:
        self._flags &= ~(1 << int(wanted(flag, BuilderFlag)))

    def get_flag(self, flag: BuilderFlag) -> bool:
        return bool(self._flags >> int(wanted(flag, BuilderFlag)) & 1)

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        self._pools[wanted(pool, MemoryPoolType)] = wanted(pool_size, int)

    def get_memory_pool_limit(self, pool: MemoryPoolType) -> int:
        return self._pools.get(wanted(pool, MemoryPoolType), 0)

    @property
    def builder_optimization_level(self) -> int:
        return self._level

    @builder_optimization_level.setter
    def builder_optimization_level(self, level: int) -> None:
        self._level = min(wanted(level, int), HIGHEST_LEVEL)

    @property
    def max_aux_streams(self) -> int:
        return self._aux_streams

    @max_aux_streams.setter
    def max_aux_streams(self, streams: int) -> None:
        self._aux_streams = wanted(streams, int)

    @property
    def profiling_verbosity(self) -> ProfilingVerbosity:
        return self._verbosity

    @profiling_verbosity.setter
    def profiling_verbosity(self, verbosity: ProfilingVerbosity) -> None:
        self._verbosity = wanted(verbosity, ProfilingVerbosity)

    @property
    def hardware_compatibility_level(self) -> HardwareCompatibilityLevel:
        return self._hardware

    @hardware_compatibility_level.setter
    def hardware_compatibility_level(self, level: HardwareCompatibilityLevel) -> None:
        self._hardware = wanted(level, HardwareCompatibilityLevel)

    @property
    def progress_monitor(self) -> IProgressMonitor | None:
        return self._monitor

    @progress_monitor.setter
    def progress_monitor(self, monitor: IProgressMonitor | None) -> None:
        self._monitor = wanted(monitor, (IProgressMonitor, type(None)))

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._profiles)

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        if not wanted(profile, IOptimizationProfile):
            self._reporter._error(ErrorCodeTRT.INVALID_ARGUMENT, "the profile is not valid")
            return -1
        self._profiles.append(dict(profile._shapes))
        return len(self._profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache | None:
        try:
            return ITimingCache(bytes(memoryview(serialized_timing_cache)))
        except SealedError as exc:
            self._reporter._error(ErrorCodeTRT.INVALID_ARGUMENT, f"no timing cache: {exc}")
            return None

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:  # noqa: FBT001
        if not wanted(cache, ITimingCache)._fits(self._gpu, ignore_mismatch=ignore_mismatch):
            text = "the timing cache comes from another version or device"
            self._reporter._error(ErrorCodeTRT.INVALID_CONFIG, text)
            return False
        self._cache = cache
        return True

    def _target(self) -> tuple[Gpu, HardwareCompatibilityLevel]:
        """For which device a plan is, and how much like it another one must be."""
        return current_gpu(), self._hardware

    def get_timing_cache(self) -> ITimingCache | None:
        return self._cache
