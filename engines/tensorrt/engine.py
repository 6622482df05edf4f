"""The engine on an NVIDIA GPU: inputs go in, logits come out; state and features stay there."""

from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.base import (
    BuildProgress,
    DeviceFacts,
    EngineName,
    Features,
    InputArray,
    Logits,
    Rows,
    Tensors,
)
from engines.model.bundle import Bundle
from engines.table import check_inputs, check_picks, check_rows, check_state
from engines.tensorrt.driver.capture import Recorder
from engines.tensorrt.driver.device import Device, guard
from engines.tensorrt.graphs.orders import LARGEST, Order, encoder_order, step_order
from engines.tensorrt.graphs.subgraphs import (
    BROKEN,
    ENCODED,
    MOST_INPUTS,
    PICKS,
    ROWS,
    chosen,
    table_of,
)
from engines.tensorrt.network import Network
from engines.tensorrt.opening import Opener
from engines.tensorrt.parts import Machine
from engines.tensorrt.plans import GivenPlans, PlanCache
from engines.tensorrt.rows import DeviceRows

UPLOADS = 2  # pinned buffers for inputs: one is filled while the other is copied


@dataclass(frozen=True, slots=True)
class DeviceFeatures:
    """Device features produced by encode call `number` of `engine`."""

    engine: "TensorRtEngine"
    count: int
    number: int

    def __len__(self) -> int:
        """Return N, the number of inputs."""
        return self.count

    def vector(self, pick: int) -> NDArray[np.float32]:
        """Copy the features (F,) of one input to the host."""
        return self.engine.vector(self, pick)


class TensorRtEngine:
    """Runs a bundle on the first GPU, for the thread that makes it. At most 1,024 inputs at once.

    `half`: the encoder in float16, the head in float32; else all in float32, without TF32. Rows are
    not bit-stable: kernels are chosen for each size of the batch. Building plans takes minutes,
    once for a machine, and is reported to `progress`. Several engines in one thread must be closed
    in reverse order. Raises `EngineUnavailableError`, `BuildError`, `DeviceError`.
    """

    def __init__(
        self,
        bundle: Bundle,
        machine: Machine,
        cache: PlanCache,
        *,
        half: bool,
        progress: BuildProgress,
        given: GivenPlans | None = None,
    ) -> None:
        self._bundle = bundle
        self._encodes = self._items = self._slots = 0
        self._enqueue_s = 0.0
        with guard("opening"), ExitStack() as owned:
            self._device = Device()
            owned.callback(self._device.close)
            self._allocate()
            opener = self._opener = Opener(machine, cache, progress, given=given)
            owned.callback(opener.close)
            self._recorder = Recorder(self._device.stream)
            self._encoder = self._open(opener, encoder_order(bundle, half=half))
            owned.callback(self._encoder.close)
            self._step = self._open(opener, step_order(bundle))
            owned.callback(self._step.close)
            scratch = self._device.allocate(
                max(self._encoder.scratch_bytes, self._step.scratch_bytes)
            )
            self._encoder.open(scratch, opener.log)
            self._step.open(scratch, opener.log)
            self._encoder.bind(
                {bundle.input.array.name: self._inputs, "features": self._features}, {}
            )
            self._bind_step()
            owned.callback(self._device.wait)  # nothing may be running when contexts are freed
            self._owned = owned.pop_all()

    @property
    def name(self) -> EngineName:
        """See `Engine`."""
        return "tensorrt"

    @property
    def facts(self) -> DeviceFacts:
        """Work of the GPU."""
        return DeviceFacts(
            plans=self._opener.found,
            build_s=self._opener.build_s,
            enqueue_s=self._enqueue_s,
            wait_s=self._device.wait_s,
            items=self._items,
            slots=self._slots,
            captured=self._encoder.captured + self._step.captured,
            not_captured=self._recorder.failure,
            memory_bytes=self._device.memory_bytes,
        )

    @property
    def rows(self) -> int:
        """Number of rows in the table."""
        return self._table.rows

    def reserve(self, rows: int) -> None:
        """Grow the table, to a power of two: graphs are recorded anew each time."""
        with guard(f"a table of {rows} rows"):
            if rows > self.rows and self._table.reserve(1 << (rows - 1).bit_length()):
                self._bind_step()

    def encode(self, inputs: InputArray) -> DeviceFeatures:
        """Queue up to 64 inputs at a time. Returns before they are encoded."""
        check_inputs(self._bundle, inputs)
        if len(inputs) > MOST_INPUTS:
            raise ValueError(
                f"at most {MOST_INPUTS:,} inputs are encoded at once, not {len(inputs)}"
            )
        began = monotonic()
        with guard("encoding"):
            # The first inputs come last: the network writes where their features stay.
            for start in reversed(range(0, len(inputs), LARGEST)):
                self._encode(inputs[start : start + LARGEST])
                if start:
                    to = self._features + start * self._feature_bytes
                    self._device.copy(to, self._features, LARGEST * self._feature_bytes)
        self._enqueue_s += monotonic() - began
        self._encodes += 1
        return DeviceFeatures(self, len(inputs), self._encodes)

    def step(self, features: Features, picks: Rows, rows: Rows) -> tuple[Logits, NDArray[np.bool_]]:
        """Advance up to 64 rows at a time, sorted: neighbours are written back as one."""
        index = check_rows(rows, self.rows)
        picked = check_picks(picks, len(index), len(self._own(features)))
        logits = np.empty((len(index), len(self._bundle.labels)), np.float32)
        finite = np.empty(len(index), np.bool_)
        order = np.argsort(index)
        with guard("stepping"):
            for start in range(0, len(order), LARGEST):
                some = order[start : start + LARGEST]
                self._advance(picked[some], index[some])
                logits[some] = self._answers[: len(some)]
                finite[some] = self._broken[: len(some)] == 0
        return logits, finite

    def read(self, rows: Rows) -> Tensors:
        """Copy rows to the host."""
        with guard("reading rows"):
            return self._table.read(check_rows(rows, self.rows))

    def write(self, rows: Rows, tensors: Tensors) -> None:
        """Copy rows to the device."""
        index = check_rows(rows, self.rows)
        check_state(self._bundle.state, tensors, len(index))
        with guard("writing rows"):
            self._table.write(index, tensors)

    def zero(self, rows: Rows) -> None:
        """Mark rows as starting afresh at their next step; nothing is queued."""
        self._table.zero(check_rows(rows, self.rows))

    def vector(self, features: DeviceFeatures, pick: int) -> NDArray[np.float32]:
        """Copy the features (F,) of one input of the newest `encode` to the host."""
        check_picks((pick,), 1, len(self._own(features)))
        address = self._features + pick * self._feature_bytes
        with guard("reading features"):
            self._device.download(self._vector, address)
            self._device.wait()
        copied: NDArray[np.float32] = self._vector.copy()
        return copied

    def close(self) -> None:
        """Free contexts, plans, memory and the GPU, in this order."""
        with guard("closing"):
            self._owned.close()

    def _allocate(self) -> None:
        """Allocate all but TensorRT's scratch, whose size is known once plans are loaded."""
        bundle, device = self._bundle, self._device
        self._feature_bytes = 4 * bundle.features
        port = bundle.input.array
        self._uploads = [
            UploadBuffer(device.pinned((LARGEST, *port.shape), port.dtype), device)
            for _ in range(UPLOADS)
        ]
        self._inputs = device.allocate(self._uploads[0].array.nbytes)
        self._features = device.allocate(MOST_INPUTS * self._feature_bytes)
        self._vector = device.pinned((bundle.features,), np.float32)
        self._table = DeviceRows(device, bundle.state)
        self._asked = {name: device.pinned((LARGEST,), np.int32) for name in chosen(bundle)}
        self._answers = device.pinned((LARGEST, len(bundle.labels)), np.float32)
        self._broken = device.pinned((LARGEST,), np.float32)
        self._stepped = {name: device.allocate(array.nbytes) for name, array in self._asked.items()}
        self._stepped["logits"] = device.allocate(self._answers.nbytes)
        self._stepped[BROKEN] = device.allocate(self._broken.nbytes)
        for spec in bundle.state:
            self._stepped[spec.output] = device.allocate(LARGEST * self._table.row_bytes[spec.name])

    def _open(self, opener: Opener, order: Order) -> Network:
        return Network(opener.open(order), order.inputs, self._device, self._recorder)

    def _bind_step(self) -> None:
        tables = {table_of(name): at for name, at in self._table.addresses.items()}
        shapes = {
            table_of(spec.name): (self._table.places, *spec.shape) for spec in self._bundle.state
        }
        self._step.bind({ENCODED: self._features, **tables, **self._stepped}, shapes)

    def _encode(self, inputs: InputArray) -> None:
        buffer = self._uploads.pop(0)
        self._uploads.append(buffer)
        self._device.upload(self._inputs, buffer.fill(inputs))
        self._count(len(inputs), self._encoder.run(len(inputs)))

    def _advance(self, picks: NDArray[np.intp], index: NDArray[np.intp]) -> None:
        """Step rows (M,), M up to 64, in ascending order."""
        began = monotonic()
        count = len(index)
        places = {PICKS: picks, ROWS: self._table.sources(index)}
        for name, asked in self._asked.items():
            asked[:count] = places[name]
            asked[count:] = 0  # padding, whose results are not used
            self._device.upload(self._stepped[name], asked)
        self._count(count, self._step.run(count))
        outputs = {spec.name: self._stepped[spec.output] for spec in self._bundle.state}
        self._table.keep(index, outputs)
        self._device.download(self._answers, self._stepped["logits"])
        self._device.download(self._broken, self._stepped[BROKEN])
        self._enqueue_s += monotonic() - began
        self._device.wait()

    def _count(self, items: int, slots: int) -> None:
        self._items += items
        self._slots += slots

    def _own(self, features: Features) -> DeviceFeatures:
        if not isinstance(features, DeviceFeatures) or features.engine is not self:
            raise TypeError(f"features must be this engine's own, not {type(features).__name__}")
        if features.number != self._encodes:
            raise ValueError("these features are gone: the engine has encoded since")
        return features


class UploadBuffer:
    """A pinned buffer (64, *shape) for inputs on their way to the device."""

    def __init__(self, array: NDArray[Any], device: Device) -> None:
        self.array, self._device = array, device
        self._free_after = 0  # waits of the device; before the first fill nothing is being copied

    def fill(self, inputs: InputArray) -> NDArray[Any]:
        """Wait for the previous upload from here, copy `inputs` in, return the filled part."""
        if self._device.waits < self._free_after:
            self._device.wait()
        self.array[: len(inputs)] = inputs
        self._free_after = self._device.waits + 1
        return self.array[: len(inputs)]
