"""The references for the benchmark: a minimal loop around libav and ONNX Runtime, in two versions.

Records from a list, one decoder thread a batch ahead, the encoder on batches, the head on all
streams at once: no broker, no durable memory, no checks of the input. One version is what anyone
would write, the other has what makes the worker's own decoder and engine faster: planes. Of letters
there is one version: each record is brought to its length.
"""

import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engines.model.bundle import load_bundle
from engines.model.inputs import LettersInput, PictureInput
from engines.planes import planar
from pipeline.media.pictures import SCALING
from tests.bench.frames import BATCH, STREAMS

Decode = Callable[[av.VideoCodecContext, Sequence[bytes], tuple[int, ...]], NDArray[np.uint8]]

WARM_BATCHES = 8
UNMEASURED = (WARM_BATCHES + 1) * BATCH  # the last batch is decoded within the measured time


@dataclass(frozen=True, slots=True)
class Usage:
    """The time and CPU time of a number of frames."""

    frames: int
    wall_s: float
    cpu_s: float

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.wall_s

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per frame."""
        return 1000 * self.cpu_s / self.frames


def run_loop(
    records: Sequence[bytes], bundle: Path, *, planes: bool
) -> tuple[Usage, NDArray[np.float64]]:
    """Predict all records, stream by turns. Also returns their scores (N, K).

    All except UNMEASURED frames are measured, by the whole process: run nothing else in it.
    """
    model = load_bundle(bundle)
    rewritten: bytes | None = None
    decode: Decode
    if isinstance(model.input, PictureInput):
        rewritten = planar(model.encoder, model.input.array) if planes else None
        decode = _decode if rewritten is None else _decode_planes
    else:
        decode = _fitting(model.input)
    encoder, head = _session(rewritten or model.encoder), _session(model.head)
    state = {s.input: np.zeros((len(STREAMS), *s.shape), s.numpy_dtype) for s in model.state}
    outputs = ["logits", *(s.output for s in model.state)]
    decoder = av.VideoCodecContext.create("mjpeg", "r")
    decoder.thread_count = 1
    batches = [records[at : at + BATCH] for at in range(0, len(records), BATCH)]
    scores, clocks = [], []
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(decode, decoder, batches[0], model.input.array.shape)
        for following in [*batches[1:], None]:
            pixels = ahead.result()  # (N, H, W, 3), or (N, 3, H, W), or (N, L)
            clocks.append((time.monotonic(), _cpu_s()))
            if following is not None:
                ahead = pool.submit(decode, decoder, following, model.input.array.shape)
            (features,) = encoder.run(["features"], {"frames": pixels})  # (N, F)
            for first in range(0, len(features), len(STREAMS)):
                lines = features[first : first + len(STREAMS)]
                logits, *after = head.run(outputs, {"features": lines, **state})  # (S, K)
                state = dict(zip(state, after, strict=True))
                powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
                scores.append(powers / powers.sum(axis=1, keepdims=True))
    wall_s, cpu_s = (np.array(clocks[-1]) - clocks[WARM_BATCHES]).tolist()
    return Usage(len(records) - UNMEASURED, wall_s, cpu_s), np.concatenate(scores)


def _decode(
    decoder: av.VideoCodecContext, jpegs: Sequence[bytes], shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    height, width, _ = shape
    pixels = np.empty((len(jpegs), *shape), np.uint8)
    for line, jpeg in enumerate(jpegs):
        (frame,) = decoder.decode(av.Packet(jpeg))
        rgb = frame.reformat(width, height, "rgb24", interpolation=SCALING, threads=1)
        pixels[line] = rgb.to_ndarray()
    return pixels


def _decode_planes(
    decoder: av.VideoCodecContext, jpegs: Sequence[bytes], shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    height, width, _ = shape
    pixels = np.empty((len(jpegs), 3, height, width), np.uint8)
    for line, jpeg in enumerate(jpegs):
        (frame,) = decoder.decode(av.Packet(jpeg))
        rgb = frame.reformat(width, height, "gbrp", interpolation=SCALING, threads=1)
        for channel, place in enumerate((2, 0, 1)):
            plane = rgb.planes[place]
            lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            pixels[line, channel] = lines[:height, :width]
    return pixels


def _fitting(letters: LettersInput) -> Decode:
    """Bring letters to (N, L), as the bundle wants them."""
    return lambda _, records, __: np.stack([letters.fitted(one) for one in records])


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
