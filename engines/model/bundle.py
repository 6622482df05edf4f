"""A model on disk becomes a value. Its parts are docs/bundle.md's files.

Loading reads bytes and checks all that can be checked without running foreign graphs: sizes,
digests, the description, and what the graphs' bytes hold. `check_graphs` parses the graphs, which
can cost any amount of memory and time: `engines.checks.bounded` calls it in a process with limits.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import JsonValue

from engines.errors import BundleError
from engines.model.bundle_files import BundleArchive, BundleFolder
from engines.model.description import Skeleton, StateSpec, read_description
from engines.model.graph_bytes import check_bytes
from engines.model.inputs import InputSpec
from engines.model.ports import Port

SHIPPED = Path(__file__).parents[1] / "bundles"
MAX_MODEL_BYTES = 1 << 20
MAX_GRAPH_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle, all of it in memory. `source` says in messages where it was read from."""

    name: str
    labels: tuple[str, ...]
    activation: Literal["softmax", "sigmoid"]
    input: InputSpec
    features: int
    state: tuple[StateSpec, ...]
    skeleton: Skeleton | None
    training: dict[str, JsonValue]
    digest: str  # hex SHA-256 of model.json, which holds those of the graphs
    described: bytes = field(repr=False)  # model.json
    encoder: bytes = field(repr=False)
    head: bytes = field(repr=False)
    source: str = field(compare=False)

    @property
    def id(self) -> str:
        """Name and the first 8 hex digits of the digest: what predictions are signed with."""
        return f"{self.name}@{self.digest[:8]}"


def find_bundle(name_or_path: str) -> Path:
    """Return where a bundle is: a bare name is one of those shipped, all else is a path."""
    if Path(name_or_path).name != name_or_path or name_or_path.endswith(".zip"):
        return Path(name_or_path)
    shipped = sorted(path.parent.name for path in SHIPPED.glob("*/model.json"))
    if name_or_path in shipped:
        return SHIPPED / name_or_path
    raise BundleError(
        f"no bundle named {name_or_path!r} is shipped; there are: {', '.join(shipped) or 'none'}. "
        f"For a folder in the current directory write ./{name_or_path}"
    )


def load_bundle(path: Path) -> Bundle:
    """Read the bundle at `path`, a folder or a .zip. Raises `BundleError`.

    Its graphs are not parsed: `load_engine` has them checked before it runs them.
    """
    if not path.exists():
        raise BundleError(f"there is no bundle at {path}: neither a folder nor a .zip")
    try:
        files = BundleArchive(path) if path.is_file() else BundleFolder(path)
        described = files.read("model.json", MAX_MODEL_BYTES)
        encoder = files.read("encoder.onnx", MAX_GRAPH_BYTES)
        head = files.read("head.onnx", MAX_GRAPH_BYTES)
    except MemoryError as exc:
        raise BundleError(f"{path} is too large for the memory of this machine") from exc
    return bundle_of(described, encoder=encoder, head=head, source=str(path))


def bundle_of(described: bytes, *, encoder: bytes, head: bytes, source: str) -> Bundle:
    """Make a bundle of the bytes of its files. Raises `BundleError`."""
    description = read_description(described, f"{source}: model.json")
    graphs = {"encoder.onnx": encoder, "head.onnx": head}
    wanted = {"encoder.onnx": description.files.encoder, "head.onnx": description.files.head}
    for name, graph in graphs.items():
        found = hashlib.sha256(graph).hexdigest()
        if found != wanted[name]:
            raise BundleError(
                f"{source}: {name} is damaged or was changed: its SHA-256 is {found}, "
                f"model.json wants {wanted[name]}; copy the bundle again"
            )
        check_bytes(graph, f"{source}: {name}")
    fields = {name: value for name, value in description if name not in ("schema_version", "files")}
    digest = hashlib.sha256(described).hexdigest()
    return Bundle(
        **fields, digest=digest, described=described, encoder=encoder, head=head, source=source
    )


def check_graphs(bundle: Bundle) -> None:
    """Raise `BundleError` unless both graphs are valid, with the ports that the description says.

    It parses what the bundle holds, which can take any amount of memory and time.
    """
    from engines.model.graph import check_graph  # it brings onnx along

    features = Port("features", np.dtype(np.float32), (bundle.features,))
    logits = Port("logits", np.dtype(np.float32), (len(bundle.labels),))
    taken = [Port(spec.input, spec.numpy_dtype, spec.shape) for spec in bundle.state]
    given = [Port(spec.output, spec.numpy_dtype, spec.shape) for spec in bundle.state]
    encoder, head = f"{bundle.source}: encoder.onnx", f"{bundle.source}: head.onnx"
    check_graph(bundle.encoder, encoder, [bundle.input.array], [features])
    check_graph(bundle.head, head, [features, *taken], [logits, *given])


def write_bundle(
    path: Path, description: Mapping[str, JsonValue], *, encoder: bytes, head: bytes
) -> Path:
    """Write a bundle into folder `path` and return it. `description` lacks only `files`.

    Equal arguments give equal bytes. Nothing is checked: that is what loading is for.
    """
    graphs = {"encoder.onnx": encoder, "head.onnx": head}
    files = {name: hashlib.sha256(graph).hexdigest() for name, graph in graphs.items()}
    text = json.dumps({**description, "files": files}, indent=2, ensure_ascii=False) + "\n"
    path.mkdir(parents=True, exist_ok=True)
    for name, graph in graphs.items():
        (path / name).write_bytes(graph)
    (path / "model.json").write_bytes(text.encode())
    return path
