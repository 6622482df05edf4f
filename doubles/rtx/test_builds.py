"""NVIDIA's own parser and builder take every graph that we hand to TensorRT."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from doubles.parts import find_rtx
from doubles.rtx.genuine import outcomes
from doubles.wanted import or_skipped
from engines.model.bundle import SHIPPED, Bundle, find_bundle, load_bundle
from engines.model.seed import write_seed
from engines.tensorrt.graphs.orders import Order, encoder_order, step_order
from tests.engines.bundles import letters, tiny

SHIPPED_NAMES = sorted(path.parent.name for path in SHIPPED.glob("*/model.json"))


def orders(bundle: Bundle) -> Iterator[Order]:
    """Every plan of a bundle, in both precisions."""
    yield encoder_order(bundle, half=False)
    yield encoder_order(bundle, half=True)
    yield step_order(bundle)


@pytest.fixture(scope="session")
def rtx() -> None:
    """The genuine library, fetched where it is not there yet."""
    with or_skipped():
        find_rtx()


@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize("name", [*SHIPPED_NAMES, "seed", "lstm", "gru", "letters"])
def test_every_graph_of_a_bundle_is_built(name: str, tmp_path: Path) -> None:
    if name in SHIPPED_NAMES:
        bundle = load_bundle(find_bundle(name))
    elif name == "seed":
        bundle = load_bundle(write_seed(tmp_path))
    else:
        bundle = letters(tmp_path) if name == "letters" else tiny(tmp_path, cell=name)
    made = dict(zip(("float32", "float16", "step"), outcomes(orders(bundle)), strict=True))
    assert {graph: one.refused for graph, one in made.items()} == dict.fromkeys(made, "")
    for graph, one in made.items():
        print(f"{name} {graph}: {one.plan_bytes:,} bytes in {one.seconds:.1f} s")  # noqa: T201
    assert min(one.plan_bytes for one in made.values()) > 1000
