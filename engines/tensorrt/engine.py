"""The engine on an NVIDIA GPU. Pixels go in and logits come out; memory and features stay there."""

from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from engines.base import DeviceFacts, EngineName, Features, Logits, Pixels, Rows, Tensors, Told
from engines.model.bundle import Bundle
from engines.table import check_picks, check_pixels, check_rows, check_state
from engines.tensorrt.capture import Recorder
from engines.tensorrt.device import Device, guard
from engines.tensorrt.half_encoder import halved
from engines.tensorrt.network import BATCH, LARGEST, Network, profiles_of
from engines.tensorrt.opening import Opener
from engines.tensorrt.parts import Machine
from engines.tensorrt.plans import PlanCache
from engines.tensorrt.rows import MOST_ROWS, USUAL_ROWS, DeviceRows
from engines.tensorrt.subgraphs import (
    BROKEN,
    LINES,
    MOST_LINES,
    PICKS,
    ROWS,
    chosen,
    step_graph,
    table_of,
)

SLOTS = 2  # pinned buffers for pixels: one is filled while the other is on its way


@dataclass(frozen=True, slots=True)
class DeviceFeatures:
    """Lines on the device, of the engine's encode number `number`."""

    engine: "TensorRtEngine"
    count: int
    number: int

    def __len__(self) -> int:
        """Count the frames."""
        return self.count

    def line(self, pick: int) -> NDArray[np.float32]:
        """Copy one line to the host."""
        return self.engine.line(self, pick)


class TensorRtEngine:
    """Runs a bundle on the first GPU, for the thread that makes it. At most 1,024 frames at once.

    `half`: the encoder in float16, the head in float32; else all in float32, without TF32. Rows are
    not bit-stable: kernels are chosen for each size of the batch. Making plans takes minutes, once
    for a machine; `told` hears how far it is. Several engines in one thread are closed in the
    reverse of their order. Raises `EngineUnavailableError`, `BuildError`, `DeviceError`.
    """

    def __init__(
        self, bundle: Bundle, machine: Machine, cache: PlanCache, *, half: bool, told: Told
    ) -> None:
        self._bundle = bundle
        self._encodes = self._filled = self._places = 0
        self._enqueue_s = 0.0
        with guard("opening"), ExitStack() as owned:
            self._device = Device()
            owned.callback(self._device.close)
            self._allocate()
            opener = self._opener = Opener(machine, cache, told)
            owned.callback(opener.close)
            self._recorder = Recorder(self._device.stream)
            self._encoder = self._open_encoder(opener, half=half)
            owned.callback(self._encoder.close)
            self._step = self._open_step(opener)
            owned.callback(self._step.close)
            scratch = self._device.allocate(
                max(self._encoder.scratch_bytes, self._step.scratch_bytes)
            )
            self._encoder.open(scratch, opener.log)
            self._step.open(scratch, opener.log)
            self._encoder.bind({"frames": self._frames, "features": self._lines}, {})
            self._bind_step()
            owned.callback(self._device.wait)  # nothing may be under way when contexts go
            self._owned = owned.pop_all()

    @property
    def name(self) -> EngineName:
        """See `Engine`."""
        return "tensorrt"

    @property
    def facts(self) -> DeviceFacts:
        """What the GPU does."""
        return DeviceFacts(
            plans=self._opener.found,
            build_s=self._opener.build_s,
            enqueue_s=self._enqueue_s,
            wait_s=self._device.wait_s,
            lines=self._filled,
            places=self._places,
            captured=self._encoder.captured + self._step.captured,
            not_captured=self._recorder.failure,
            memory_bytes=self._device.memory_bytes,
        )

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return self._table.rows

    def reserve(self, rows: int) -> None:
        """Grow the table, to a power of two: graphs are recorded anew each time."""
        with guard(f"a table of {rows} rows"):
            if rows > self.rows and self._table.reserve(1 << (rows - 1).bit_length()):
                self._bind_step()

    def encode(self, pixels: Pixels) -> DeviceFeatures:
        """Queue up to 64 frames at a time. Comes back before they are encoded."""
        check_pixels(self._bundle, pixels)
        if len(pixels) > MOST_LINES:
            raise ValueError(
                f"at most {MOST_LINES:,} frames are encoded at once, not {len(pixels)}"
            )
        began = monotonic()
        with guard("encoding"):
            # The first frames come last: the network writes where their lines stay.
            for start in reversed(range(0, len(pixels), LARGEST)):
                self._encode(pixels[start : start + LARGEST])
                if start:
                    to = self._lines + start * self._line_bytes
                    self._device.copy(to, self._lines, LARGEST * self._line_bytes)
        self._enqueue_s += monotonic() - began
        self._encodes += 1
        return DeviceFeatures(self, len(pixels), self._encodes)

    def step(self, features: Features, picks: Rows, rows: Rows) -> tuple[Logits, NDArray[np.bool_]]:
        """Advance up to 64 rows at a time, sorted: neighbours are written back as one."""
        index = check_rows(rows, self.rows)
        lines = check_picks(picks, len(index), len(self._own(features)))
        logits = np.empty((len(index), len(self._bundle.labels)), np.float32)
        finite = np.empty(len(index), np.bool_)
        order = np.argsort(index)
        with guard("stepping"):
            for start in range(0, len(order), LARGEST):
                some = order[start : start + LARGEST]
                self._advance(lines[some], index[some])
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
        """Let rows start afresh at their next step; nothing is queued."""
        self._table.zero(check_rows(rows, self.rows))

    def line(self, features: DeviceFeatures, pick: int) -> NDArray[np.float32]:
        """Copy one line of the newest features to the host."""
        check_picks((pick,), 1, len(self._own(features)))
        address = self._lines + pick * self._line_bytes
        with guard("reading features"):
            self._device.download(self._line, address)
            self._device.wait()
        copied: NDArray[np.float32] = self._line.copy()
        return copied

    def close(self) -> None:
        """Free contexts, plans, memory and the GPU, in this order."""
        with guard("closing"):
            self._owned.close()

    def _allocate(self) -> None:
        """Take all memory but the scratch of the graphs, whose size the plans say."""
        bundle, device = self._bundle, self._device
        self._line_bytes = 4 * bundle.features
        self._slots = [
            Slot(device.pinned((LARGEST, *bundle.frame_shape), np.uint8), device)
            for _ in range(SLOTS)
        ]
        self._frames = device.allocate(self._slots[0].array.nbytes)
        self._lines = device.allocate(MOST_LINES * self._line_bytes)
        self._line = device.pinned((bundle.features,), np.float32)
        self._table = DeviceRows(device, bundle.state)
        self._asked = {name: device.pinned((LARGEST,), np.int32) for name in chosen(bundle)}
        self._answers = device.pinned((LARGEST, len(bundle.labels)), np.float32)
        self._broken = device.pinned((LARGEST,), np.float32)
        self._stepped = {name: device.allocate(array.nbytes) for name, array in self._asked.items()}
        self._stepped["logits"] = device.allocate(self._answers.nbytes)
        self._stepped[BROKEN] = device.allocate(self._broken.nbytes)
        for spec in bundle.state:
            self._stepped[spec.output] = device.allocate(
                LARGEST * self._table.line_bytes[spec.name]
            )

    def _open_encoder(self, opener: Opener, *, half: bool) -> Network:
        graph = halved(self._bundle.encoder) if half else self._bundle.encoder
        inputs = {"frames": (BATCH, *self._bundle.frame_shape)}
        plan = opener.open("encoder", graph, profiles_of(inputs, {}))
        return Network(plan, inputs, self._device, self._recorder)

    def _open_step(self, opener: Opener) -> Network:
        inputs = dict.fromkeys(self._asked, (BATCH,))
        tables = {
            table_of(s.name): ((1, *s.shape), (USUAL_ROWS, *s.shape), (MOST_ROWS + 1, *s.shape))
            for s in self._bundle.state
        }
        plan = opener.open("step", step_graph(self._bundle), profiles_of(inputs, tables))
        return Network(plan, inputs, self._device, self._recorder)

    def _bind_step(self) -> None:
        tables = {table_of(name): at for name, at in self._table.addresses.items()}
        shapes = {
            table_of(spec.name): (self._table.places, *spec.shape) for spec in self._bundle.state
        }
        self._step.bind({LINES: self._lines, **tables, **self._stepped}, shapes)

    def _encode(self, pixels: Pixels) -> None:
        slot = self._slots.pop(0)
        self._slots.append(slot)
        self._device.upload(self._frames, slot.fill(pixels))
        self._count(len(pixels), self._encoder.run(len(pixels)))

    def _advance(self, picks: NDArray[np.intp], index: NDArray[np.intp]) -> None:
        """Step rows (M,), M up to 64, in ascending order."""
        began = monotonic()
        count = len(index)
        places = {PICKS: picks, ROWS: self._table.sources(index)}
        for name, asked in self._asked.items():
            asked[:count] = places[name]
            asked[count:] = 0  # they fill up the batch; nobody looks at their answers
            self._device.upload(self._stepped[name], asked)
        self._count(count, self._step.run(count))
        outputs = {spec.name: self._stepped[spec.output] for spec in self._bundle.state}
        self._table.keep(index, outputs)
        self._device.download(self._answers, self._stepped["logits"])
        self._device.download(self._broken, self._stepped[BROKEN])
        self._enqueue_s += monotonic() - began
        self._device.wait()

    def _count(self, lines: int, places: int) -> None:
        self._filled += lines
        self._places += places

    def _own(self, features: Features) -> DeviceFeatures:
        if not isinstance(features, DeviceFeatures) or features.engine is not self:
            raise TypeError(f"features must be this engine's own, not {type(features).__name__}")
        if features.number != self._encodes:
            raise ValueError("these features are gone: the engine has encoded since")
        return features


class Slot:
    """A pinned buffer (64, H, W, 3) for pixels on their way to the device."""

    def __init__(self, array: NDArray[np.uint8], device: Device) -> None:
        self.array, self._device = array, device
        self._free_after = 0  # waits of the device; at the first fill nothing is on its way

    def fill(self, pixels: Pixels) -> NDArray[np.uint8]:
        """Copy pixels in, once what was in it before has arrived; answer the filled part."""
        if self._device.waits < self._free_after:
            self._device.wait()
        self.array[: len(pixels)] = pixels
        self._free_after = self._device.waits + 1
        return self.array[: len(pixels)]
