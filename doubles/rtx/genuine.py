"""Asks the genuine parser and builder about graphs, in a process of their own."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from engines.tensorrt.graphs.orders import PROFILES, Order, Profile

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a graph: `refused` is empty for a plan."""

    refused: str
    plan_bytes: int
    seconds: float


def outcomes(orders: Iterable[Order]) -> list[Outcome]:
    """Parse and build each graph. Raises `CrashedError` where the genuine library crashes."""
    with tempfile.TemporaryDirectory() as folder, _child() as child:
        return [_ask(child, order, Path(folder)) for order in orders]


class CrashedError(Exception):
    """The process of the genuine library has ended."""


def _child() -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "doubles.rtx.child"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


def _ask(child: "subprocess.Popen[str]", order: Order, folder: Path) -> Outcome:
    assert child.stdin is not None
    assert child.stdout is not None
    graph = folder / "graph.onnx"
    graph.write_bytes(order.graph)
    asked = {"graph": str(graph), "profiles": [dict(profile) for profile in order.profiles]}
    child.stdin.write(json.dumps(asked) + "\n")
    child.stdin.flush()
    answer = child.stdout.readline()
    if not answer:
        raise CrashedError(f"at {order.name}: the process has ended with {child.wait()}")
    return Outcome(**json.loads(answer))


def order_of(graph: bytes, name: str = "graph") -> Order:
    """Order a plan of a small graph: every free size is that of the batch."""
    inputs: dict[str, Sequence[int | str]] = dict(_inputs(graph))
    dynamic = {name: shape for name, shape in inputs.items() if "N" in shape}
    return Order(name, graph, dynamic, [_profile(dynamic, PROFILES[0])] if dynamic else [])


def _inputs(graph: bytes) -> Iterator[tuple[str, Sequence[int | str]]]:
    model = onnx.load_from_string(graph)
    weights = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name not in weights:
            dims = value.type.tensor_type.shape.dim
            yield value.name, [d.dim_value if d.HasField("dim_value") else "N" for d in dims]


def _profile(dynamic: Mapping[str, Sequence[int | str]], sizes: tuple[int, int, int]) -> Profile:
    from engines.tensorrt.graphs.orders import sized

    return {
        name: (sized(shape, sizes[0]), sized(shape, sizes[1]), sized(shape, sizes[2]))
        for name, shape in dynamic.items()
    }
