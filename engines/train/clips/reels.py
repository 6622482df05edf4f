"""The frames and the features of each video, computed once and kept on disk.

A file's name is a digest of all that its content depends on, and a file appears only when it is
whole: killed runs, and runs that share a folder, can use each file they find.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engines.model.inputs import Pixels
from engines.train.clips.footage import FailureError, StageReport, TrainingVideo
from engines.train.pictures import Input

AT_ONCE = 32  # frames that are encoded together: more is no faster on a CPU
GAP_US = 2_000_000  # a worker resets a memory after such a gap: the default of gap_reset_s


@dataclass(frozen=True, slots=True)
class Reel:
    """A `TrainingVideo` whose frames are on disk as pixels of one size."""

    name: str
    digest: str
    validation: bool
    pixels: NDArray[np.uint8]  # (T, H, W, 3), mapped: read from disk when they are used
    times_us: NDArray[np.int64]  # (T,)
    labels: NDArray[np.int64]  # (T,), -1 where there is none

    def frames(self, _: Input, /) -> Iterator[tuple[int, Pixels]]:
        """See `TrainingVideo`."""
        return zip(self.times_us.tolist(), self.pixels, strict=True)

    def labels_at(self, _: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `TrainingVideo`."""
        return self.labels


@dataclass(frozen=True, slots=True)
class FeatureStream:
    """The features of T frames without a gap: one stream, which begins with an empty memory."""

    features: Tensor  # (T, F)
    labels: Tensor  # (T,), -1 where there is none
    validation: bool


def unreel(
    videos: Sequence[TrainingVideo], shape: Input, folder: Path, report: StageReport
) -> list[Reel]:
    """Decode each video that is not in `folder` yet; a frame takes 3 H W bytes there."""
    report.begin("decoding", len(videos))
    reels = []
    for n, video in enumerate(videos):
        pixels = folder / f"{_key(video.digest, asdict(shape))}.rgb"
        times = pixels.with_suffix(".safetensors")
        if not times.exists():
            _decode(video, shape, pixels, times)
        times_us = load_file(times)["times_us"].numpy()
        size = len(times_us), shape.height, shape.width, 3
        mapped = np.memmap(pixels, np.uint8, "r", shape=size)
        labels = video.labels_at(times_us)
        reels.append(Reel(video.name, video.digest, video.validation, mapped, times_us, labels))
        report.reach(n + 1, video.name)
    return reels


def encode_videos(
    videos: Sequence[TrainingVideo],
    encoder: nn.Module,
    shape: Input,
    folder: Path,
    report: StageReport,
) -> list[FeatureStream]:
    """Encode each video that is not in `folder` yet, and return all of them as streams."""
    weights = weights_digest(encoder)
    report.begin("encoding", len(videos))
    streams, fresh = list[FeatureStream](), 0
    for n, video in enumerate(videos):
        path = folder / f"{_key(video.digest, asdict(shape), weights)}.safetensors"
        if not path.exists():
            fresh += 1
            _save(path, _encode(video, encoder, shape))
        kept = load_file(path)
        streams += _cut(kept["features"], kept["times_us"].numpy(), video)
        report.reach(n + 1, video.name)
    report.say(f"features of {len(videos)} videos: {fresh} encoded, {len(videos) - fresh} kept")
    return streams


def stretches(times_us: NDArray[np.int64]) -> Iterator[slice]:
    """Find the stretches of frames without a gap between them."""
    cuts = np.flatnonzero(np.diff(times_us) > GAP_US) + 1
    edges = [0, *cuts.tolist(), len(times_us)]
    return (slice(start, end) for start, end in pairwise(edges))


def weights_digest(network: nn.Module) -> str:
    """Digest the names, types and values of a network's weights."""
    digest = hashlib.sha256()
    for name, part in network.state_dict().items():
        digest.update(f"{name} {part.dtype} {tuple(part.shape)};".encode())
        digest.update(part.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _cut(
    features: Tensor, times_us: NDArray[np.int64], video: TrainingVideo
) -> Iterator[FeatureStream]:
    labels = torch.from_numpy(video.labels_at(times_us))
    for part in stretches(times_us):
        yield FeatureStream(features[part], labels[part], video.validation)


@torch.inference_mode()
def _encode(video: TrainingVideo, encoder: nn.Module, shape: Input) -> dict[str, Tensor]:
    encoder.eval()
    times_us, features = list[int](), []
    coming = video.frames(shape)
    while part := list(islice(coming, AT_ONCE)):
        times_us += [time_us for time_us, _ in part]
        frames = torch.from_numpy(np.stack([pixels for _, pixels in part]))
        features.append(encoder(shape.normalise(frames)))  # (32, F)
    _refuse_empty(video, times_us)
    return {"features": torch.cat(features), "times_us": torch.tensor(times_us)}


def _decode(video: TrainingVideo, shape: Input, pixels: Path, times: Path) -> None:
    """Write the pixels first: the file of the times exists only if the pixels are whole."""
    pixels.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(pixels)
    times_us = []
    with partial.open("wb") as file:
        for time_us, frame in video.frames(shape):
            file.write(frame.tobytes())
            times_us.append(time_us)
    _refuse_empty(video, times_us)
    partial.replace(pixels)
    _save(times, {"times_us": torch.tensor(times_us)})


def _refuse_empty(video: TrainingVideo, times_us: Sequence[int]) -> None:
    if not times_us:
        raise FailureError(f"{video.name} has no frame that can be used; take it out of the data")


def _save(path: Path, tensors: dict[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, _partial(path))
    _partial(path).replace(path)


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.partial")


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
