"""`python -m engines.train.cost_table docs/models.md` writes the costs of encoders and heads.

PyTorch counts parameters and operations; ONNX Runtime is timed, as in a worker. The times depend on
the machine, which should be idle otherwise.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.progress import Progress
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from engines.host import HostEngine
from engines.onnxrt import onnxruntime_engine
from engines.train.actions.posed import Posed, pose
from engines.train.encoders.backbones import make_backbone
from engines.train.encoders.joint_networks import LIMBS, SkeletonHead
from engines.train.exporting import Model, to_bundle
from engines.train.heads import HEADS, Head, HeadName, make_head
from engines.train.people.actors import load_actors
from engines.train.people.streams import ACTIONS
from engines.train.pictures import Input

BACKBONES = (
    "seed",
    "skeleton",
    "efficientnet_lite0",
    "timm:resnet18",
    "torchvision:mobilenet_v2",
    "torchvision:vgg16",
)
THREADS = 2
BATCH = 8  # frames
STREAMS = 16  # as many as a worker's batch has
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

# A head's name -> its accuracy over all frames, and over those from 1 s into their action.
Train = Callable[[HeadName], tuple[float, float]]
HEAD_FRAMES = 4_000_000  # of each head: with fewer, an LSTM and a GRU were equally good
TRAINING_STREAMS, TEST_STREAMS = 4000, 120


@dataclass(frozen=True, slots=True)
class BackboneCost:
    """The costs of an encoder. `macs` are multiply-additions for one frame."""

    name: str
    pictures: str
    features: int
    parameters: int
    macs: int
    alone_hz: float  # frames/s, one at a time
    batched_hz: float  # frames/s, eight at a time


@dataclass(frozen=True, slots=True)
class HeadCost:
    """The costs of a head. `macs` are multiply-additions for one step of one stream."""

    name: HeadName
    parameters: int
    macs: int
    state_bytes: int
    alone_hz: float  # steps/s of one stream
    batched_hz: float  # steps/s of sixteen together
    accuracy: tuple[float, float]


def write_tables(path: Path, backbones: Sequence[BackboneCost], heads: Sequence[HeadCost]) -> None:
    """Replace the text between the two markers of a Markdown file. Raises `ValueError`."""
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{path}: the tables go between one line {BEGIN} and one line {END}")
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    tables = f"{backbone_table(backbones)}\n\n{head_table(heads)}"
    path.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{after}")


def backbone_table(costs: Sequence[BackboneCost]) -> str:
    """Write the encoders as a Markdown table."""
    titles = ["encoder", "pictures", "features", "parameters", "MACs/frame"]
    titles += ["frames/s, one at a time", f"frames/s, {BATCH} at a time"]
    rows = [
        [
            f"`{cost.name}`",
            cost.pictures,
            str(cost.features),
            _short(cost.parameters),
            _short(cost.macs),
            f"{cost.alone_hz:,.0f}",
            f"{cost.batched_hz:,.0f}",
        ]
        for cost in costs
    ]
    return _table(titles, rows, words=2)


def head_table(costs: Sequence[HeadCost]) -> str:
    """Write the heads as a Markdown table."""
    titles = ["head", "parameters", "MACs/step", "bytes of memory a stream"]
    titles += ["steps/s, one stream", f"steps/s, {STREAMS} streams"]
    titles += ["accuracy", "accuracy from 1 s"]
    rows = [
        [
            f"`{cost.name}`",
            _short(cost.parameters),
            _short(cost.macs),
            f"{cost.state_bytes:,}",
            f"{cost.alone_hz:,.0f}",
            f"{cost.batched_hz:,.0f}",
            *(f"{share:.3f}" for share in cost.accuracy),
        ]
        for cost in costs
    ]
    return _table(titles, rows, words=1)


def measure_backbone(name: str, *, seconds: float) -> BackboneCost:
    """Export an encoder, and time it for `seconds` at each batch."""
    backbone = make_backbone(name)
    head = make_head("rnn", 2, features=backbone.features, units=8)
    engine = _engine(Model(backbone.encoder, head, backbone.input, ["a", "b"]))
    frames = backbone.input.samples(BATCH)
    pixels = backbone.input.normalise(torch.from_numpy(frames[:1]))
    return BackboneCost(
        name,
        f"{backbone.input.width} x {backbone.input.height}",
        backbone.features,
        _parameters(backbone.encoder),
        macs_of(lambda: backbone.encoder(pixels)),
        alone_hz=_rate(lambda: engine.encode(frames[:1]), seconds),
        batched_hz=BATCH * _rate(lambda: engine.encode(frames), seconds),
    )


def measure_head(name: HeadName, *, seconds: float, train: Train) -> HeadCost:
    """Export the demo's head of this name, and time it for `seconds` at each batch."""
    head = make_head(name, len(ACTIONS), features=LIMBS)
    engine = _engine(Model(_Any(LIMBS), head, Input(8, 8), ACTIONS))
    engine.reserve(STREAMS)
    features = engine.encode(np.zeros((STREAMS, 8, 8, 3), np.uint8))
    rows = np.arange(STREAMS)
    return HeadCost(
        name,
        _parameters(head),
        macs_of(lambda: head.eval().step(torch.zeros(1, LIMBS), head.start(1))),
        _state_bytes(head),
        alone_hz=_rate(lambda: engine.step(features, rows[:1], rows[:1]), seconds),
        batched_hz=STREAMS * _rate(lambda: engine.step(features, rows, rows), seconds),
        accuracy=train(name),
    )


def macs_of(call: Callable[[], object]) -> int:
    """Count the multiply-additions in PyTorch's convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    return int(counter.get_total_flops()) // 2  # it counts the addition too


class _Any(nn.Module):
    """An encoder with almost no cost, for the timing of heads."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.dense = nn.Linear(3, features)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.dense(pixels[:, :, 0, 0])
        return answer


def _engine(model: Model) -> HostEngine:
    return onnxruntime_engine(to_bundle(model), threads=THREADS)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _state_bytes(head: Head) -> int:
    return sum(4 * prod(shape) for shape in head.memory.values())  # float32


def _rate(call: Callable[[], object], seconds: float) -> float:
    """Calls per second, after one to warm up."""
    call()
    calls, begun = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - begun < seconds:
        call()
        calls += 1
    return calls / (time.perf_counter() - begun)


def _short(count: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def _table(titles: list[str], rows: list[list[str]], *, words: int) -> str:
    """Write a Markdown table whose first `words` columns are text and the others numbers."""
    rule = ["---"] * words + ["--:"] * (len(titles) - words)
    return "\n".join(f"| {' | '.join(row)} |" for row in (titles, rule, *rows))


def trained_on(posed: Posed, *, frames: int, progress: Progress) -> Train:
    """Return a function that trains a head on noisy true joints, each head in the same way."""

    def train(name: HeadName) -> tuple[float, float]:
        torch.manual_seed(0)
        head = SkeletonHead(make_head(name, len(ACTIONS), features=LIMBS))
        posed.train(head, frames=frames, progress=progress)
        return posed.examine(head)

    return train


def main(
    path: Annotated[Path, typer.Argument(help="Markdown file with the two markers")],
    seconds: Annotated[float, typer.Option(help="how long each figure is timed")] = 5.0,
) -> None:
    """Measure the usual encoders and all heads, and write their tables."""
    torch.set_num_threads(THREADS)
    backbones = [measure_backbone(name, seconds=seconds) for name in BACKBONES]
    posed = pose(load_actors(), streams=TRAINING_STREAMS, tests=TEST_STREAMS)
    with Progress() as progress:
        train = trained_on(posed, frames=HEAD_FRAMES, progress=progress)
        heads = [measure_head(name, seconds=seconds, train=train) for name in HEADS]
    write_tables(path, backbones, heads)


if __name__ == "__main__":
    typer.run(main)
