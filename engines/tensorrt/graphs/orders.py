"""What has to be built of a bundle: each graph in TensorRT's form, for which sizes of the batch.

It imports neither TensorRT nor pycuda, so plans can be ordered where no GPU is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engines.model.bundle import Bundle
from engines.tensorrt.graphs.half_encoder import halved
from engines.tensorrt.graphs.subgraphs import chosen, step_graph, table_of

BUCKETS = (1, 2, 4, 8, 16, 32, 64)  # batches are filled up to the next one
PROFILES = ((1, 4, 8), (16, 32, 64))  # smallest, usual, largest batch that kernels are chosen for
LARGEST = BUCKETS[-1]
USUAL_ROWS, MOST_ROWS = 1 << 8, 1 << 16  # of a table of state
BATCH = "N"

Shape = tuple[int, ...]
Inputs = Mapping[str, Sequence[int | str]]  # shape of each input; "N" is the batch
Profile = Mapping[str, tuple[Shape, Shape, Shape]]  # input -> smallest, usual, largest shape


@dataclass(frozen=True, slots=True)
class Order:
    """One plan: `inputs` are those with a batch dimension."""

    name: str
    graph: bytes
    inputs: Inputs
    profiles: Sequence[Profile]


def encoder_order(bundle: Bundle, *, half: bool) -> Order:
    """The encoder, in float16 if `half`. Raises `BuildError` where it has no such form."""
    graph = halved(bundle.encoder) if half else bundle.encoder
    port = bundle.input.array
    inputs: Inputs = {port.name: (BATCH, *port.shape)}
    return Order("encoder", graph, inputs, profiles_of(inputs, {}))


def step_order(bundle: Bundle) -> Order:
    """The head over tables of state, in float32."""
    inputs = dict.fromkeys(chosen(bundle), (BATCH,))
    tables = {
        table_of(s.name): ((1, *s.shape), (USUAL_ROWS, *s.shape), (MOST_ROWS + 1, *s.shape))
        for s in bundle.state
    }
    return Order("step", step_graph(bundle), inputs, profiles_of(inputs, tables))


def profiles_of(inputs: Inputs, others: Profile) -> list[Profile]:
    """Return the shapes a plan is for: `inputs` at each profile's batches, and `others`."""
    shaped = [
        {name: tuple(sized(shape, size) for size in sizes) for name, shape in inputs.items()}
        for sizes in PROFILES
    ]
    return [{**{name: (s[0], s[1], s[2]) for name, s in one.items()}, **others} for one in shaped]


def sized(shape: Sequence[int | str], size: int) -> Shape:
    """Return the shape of an input for a batch of `size`."""
    return tuple(size if isinstance(extent, str) else extent for extent in shape)
