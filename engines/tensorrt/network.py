"""A plan, loaded: one execution context per bucket of the batch, its shapes and addresses fixed."""

from collections.abc import Callable, Mapping

import tensorrt as trt

from engines.errors import DeviceError
from engines.tensorrt.driver.capture import CaptureError, Recorder, Recording
from engines.tensorrt.driver.device import Device
from engines.tensorrt.flavour import Contexts
from engines.tensorrt.graphs.orders import BUCKETS, PROFILES, Inputs, Shape, sized
from engines.tensorrt.log import TensorRtLog
from engines.tensorrt.opening import Opened


class Network:
    """Runs one plan on a device. Networks on one stream may share their scratch memory."""

    def __init__(self, opened: Opened, inputs: Inputs, device: Device, recorder: Recorder) -> None:
        plan = opened.plan
        self._opened, self._inputs, self._device, self._recorder = opened, inputs, device, recorder
        self._contexts = Contexts(plan, opened.compiled)
        self._buckets: dict[int, Bucket] = {}
        self.scratch_bytes = max(
            plan.get_device_memory_size_for_profile_v2(number) for number in range(len(PROFILES))
        )

    def open(self, scratch: int, log: TensorRtLog) -> None:
        """Make the contexts, with `scratch_bytes` of scratch memory at address `scratch`."""
        for size in BUCKETS:
            profile = next(i for i, (_, _, most) in enumerate(PROFILES) if size <= most)
            context = self._contexts.make()
            if context is None:
                raise DeviceError(f"TensorRT makes no context: {log.trouble()}")
            context.set_device_memory(scratch, self.scratch_bytes)
            bucket = Bucket(context, self._device, self._recorder, log)
            bucket.choose(profile)
            self._buckets[size] = bucket

    def bind(self, addresses: Mapping[str, int], others: Mapping[str, Shape]) -> None:
        """Set the addresses of all tensors, and the shapes of inputs without a batch dimension.

        Nothing may be running.
        """
        for size, bucket in self._buckets.items():
            shapes = {name: sized(shape, size) for name, shape in self._inputs.items()}
            bucket.bind(addresses, {**shapes, **others})

    def run(self, count: int) -> int:
        """Queue a run over `count` items and their padding; returns the size of the bucket."""
        size = bucket_for(count)
        self._buckets[size].run()
        return size

    @property
    def captured(self) -> int:
        """Number of buckets that are replayed as CUDA graphs."""
        return sum(bucket.captured for bucket in self._buckets.values())

    def close(self) -> None:
        """Free contexts, then the plan: in the other order TensorRT crashes."""
        for bucket in self._buckets.values():
            bucket.close()
        self._buckets.clear()
        self._opened.keep(self._contexts.compiled())
        del self._contexts, self._opened


class Bucket:
    """One execution context for one size of the batch.

    The first run after `bind` completes TensorRT's lazy initialisation; the second is recorded as
    a CUDA graph, and the rest replay it.
    """

    def __init__(
        self,
        context: trt.IExecutionContext,
        device: Device,
        recorder: Recorder,
        log: TensorRtLog,
    ) -> None:
        self._context, self._device = context, device
        self._recorder, self._log = recorder, log
        self._recording: Recording | None = None
        self._next: Callable[[], None] = self._enqueue

    @property
    def captured(self) -> bool:
        """Whether runs are replays."""
        return self._recording is not None

    def choose(self, profile: int) -> None:
        """Set the profile, once."""
        if not self._context.set_optimization_profile_async(profile, self._device.stream):
            raise DeviceError(f"TensorRT does not take profile {profile}: {self._log.trouble()}")

    def bind(self, addresses: Mapping[str, int], shapes: Mapping[str, Shape]) -> None:
        """Fix shapes and addresses. What was recorded with others is dropped."""
        self._drop()
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise DeviceError(f"TensorRT refuses {name} {shape}: {self._log.trouble()}")
        for name, address in addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise DeviceError(f"TensorRT knows no tensor {name}: {self._log.trouble()}")
        missing = self._context.infer_shapes()
        if missing:
            raise DeviceError(f"TensorRT wants the shapes of {missing}: {self._log.trouble()}")

    def run(self) -> None:
        """Queue one run."""
        self._next()

    def close(self) -> None:
        """Free the context."""
        self._drop()
        del self._context

    def _enqueue(self) -> None:
        self._execute()
        self._next = self._record

    def _record(self) -> None:
        self._recording = self._recorder.record(self._capture)
        self._next = self._execute if self._recording is None else self._recording.replay
        self._next()

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._device.stream):
            raise DeviceError(f"TensorRT does not run: {self._log.trouble()}")

    def _capture(self) -> None:
        if not self._context.execute_async_v3(self._device.stream):
            raise CaptureError(f"TensorRT cannot be captured: {self._log.trouble()}")

    def _drop(self) -> None:
        if self._recording is not None:
            self._recording.close()
        self._recording = None
        self._next = self._enqueue


def bucket_for(count: int) -> int:
    """Return the smallest bucket for `count` items, 1 to 64."""
    return next(size for size in BUCKETS if count <= size)
