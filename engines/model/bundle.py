"""A model on disk becomes a checked value. The only place that knows docs/bundle.md's format."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, JsonValue, StringConstraints, ValidationError, model_validator

from engines.errors import BundleError
from engines.model.bundle_files import BundleArchive, BundleFolder
from engines.model.inputs import InputSpec
from engines.model.json_parts import Part, Positive
from engines.model.ports import Port
from engines.model.verdicts import Verdicts

SHIPPED = Path(__file__).parents[1] / "bundles"
MAX_MODEL_BYTES = 1 << 20
MAX_GRAPH_BYTES = 2 << 30  # what one protobuf message can hold

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Index = Annotated[int, Field(ge=0)]
Bone = Annotated[tuple[Index, Index], Field(strict=False)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class StateSpec(Part):
    """One tensor that is carried from step to step; `shape` is without the leading N."""

    name: Name
    input: Text
    output: Text
    shape: Annotated[tuple[Positive, ...], Field(strict=False)]
    dtype: Literal["float32", "float16", "int32", "int64"]

    @property
    def numpy_dtype(self) -> np.dtype[np.generic]:
        """The dtype as numpy knows it."""
        return np.dtype(self.dtype)


class Skeleton(Part):
    """Says that the first features are places: joint j has x, y and depth in 3j, 3j+1 and 3j+2.

    x (right) and y (down) count in half pictures from the centre of what the model sees; `bones`
    are pairs of joints.
    """

    joints: Annotated[tuple[Text, ...], Field(strict=False, min_length=1, max_length=256)]
    bones: Annotated[tuple[Bone, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _bones_join_joints(self) -> Self:
        _refuse_twins("joints", self.joints)
        for number, (one, other) in enumerate(self.bones):
            if one == other or max(one, other) >= len(self.joints):
                raise ValueError(
                    f"bone {number} is [{one}, {other}]; wanted are two different joints of"
                    f" 0..{len(self.joints) - 1}"
                )
        return self


class _Files(Part):
    encoder: Sha256 = Field(alias="encoder.onnx")
    head: Sha256 = Field(alias="head.onnx")


class _Model(Part):
    """`model.json`, field for field."""

    schema_version: Literal[1] = Field(alias="schema")
    name: Name
    labels: Annotated[tuple[Text, ...], Field(strict=False, min_length=1, max_length=10_000)]
    activation: Literal["softmax", "sigmoid"]
    input: InputSpec
    features: Positive
    state: Annotated[tuple[StateSpec, ...], Field(strict=False)]
    skeleton: Skeleton | None = None
    training: dict[str, JsonValue]
    files: _Files

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        _refuse_twins("labels", self.labels)
        _refuse_twins("state names", [state.name for state in self.state])
        _refuse_twins("head inputs", ["features", *(state.input for state in self.state)])
        _refuse_twins("head outputs", ["logits", *(state.output for state in self.state)])
        return self

    @model_validator(mode="after")
    def _skeleton_is_in_the_features(self) -> Self:
        joints = len(self.skeleton.joints) if self.skeleton is not None else 0
        if 3 * joints > self.features:
            raise ValueError(
                f"skeleton has {joints} joints, which take {3 * joints} features;"
                f" there are {self.features}"
            )
        return self


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked bundle, all of it in memory."""

    name: str
    labels: tuple[str, ...]
    activation: Literal["softmax", "sigmoid"]
    input: InputSpec
    features: int
    state: tuple[StateSpec, ...]
    skeleton: Skeleton | None
    training: dict[str, JsonValue]
    digest: str  # hex SHA-256 of model.json, which holds those of the graphs
    encoder: bytes = field(repr=False)
    head: bytes = field(repr=False)

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


def load_bundle(path: Path, *, verdicts: Verdicts | None = None) -> Bundle:
    """Read and check the bundle at `path`, a folder or a .zip. Raises `BundleError`.

    The graphs are not checked again if `verdicts` hold that they have passed.
    """
    if not path.exists():
        raise BundleError(f"there is no bundle at {path}: neither a folder nor a .zip")
    files = BundleArchive(path) if path.is_file() else BundleFolder(path)
    described = files.read("model.json", MAX_MODEL_BYTES)
    model = _parse(described, f"{path}: model.json")
    encoder = _read_graph(files, path, "encoder.onnx", model.files.encoder)
    head = _read_graph(files, path, "head.onnx", model.files.head)
    digest = hashlib.sha256(described).hexdigest()
    if verdicts is None or not verdicts.passed("graphs", digest):
        _check_graphs(model, encoder, head, str(path))
        if verdicts is not None:
            verdicts.remember("graphs", digest)
    fields = {name: value for name, value in model if name not in ("schema_version", "files")}
    return Bundle(**fields, digest=digest, encoder=encoder, head=head)


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


def _check_graphs(model: _Model, encoder: bytes, head: bytes, where: str) -> None:
    from engines.model.graph import check_graph  # it brings onnx along

    features = Port("features", np.dtype(np.float32), (model.features,))
    logits = Port("logits", np.dtype(np.float32), (len(model.labels),))
    taken = [Port(spec.input, spec.numpy_dtype, spec.shape) for spec in model.state]
    given = [Port(spec.output, spec.numpy_dtype, spec.shape) for spec in model.state]
    check_graph(encoder, f"{where}: encoder.onnx", [model.input.array], [features])
    check_graph(head, f"{where}: head.onnx", [features, *taken], [logits, *given])


def _parse(described: bytes, where: str) -> _Model:
    try:
        return _Model.model_validate_json(described)
    except ValidationError as exc:
        faults = "; ".join(_sentences(exc))
        raise BundleError(f"{where}: {faults} (docs/bundle.md describes the format)") from exc


def _sentences(exc: ValidationError) -> Iterator[str]:
    for error in exc.errors(include_url=False, include_context=False):
        steps = error["loc"]
        if steps[:1] == ("input",):
            steps = ("input", *steps[2:])  # the second is the kind, which is no key
        where = ".".join(str(step) for step in steps) or "the whole"
        if error["type"] == "extra_forbidden":
            yield f"{where}: unknown key"
        elif error["type"] == "missing":
            yield f"{where}: missing"
        else:
            unknown_kind = error["type"] == "input_kind"
            came = repr(error["input"]["kind"] if unknown_kind else error["input"])
            came = came if len(came) <= 80 else f"{came[:77]}..."
            yield f"{where}: {error['msg']}; it is {came}"


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    twins = [name for name, count in Counter(names).items() if count > 1]
    if twins:
        raise ValueError(f"{what} must differ from each other, {twins[0]!r} comes twice")


def _read_graph(files: BundleFolder | BundleArchive, path: Path, name: str, wanted: str) -> bytes:
    content = files.read(name, MAX_GRAPH_BYTES)
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise BundleError(
            f"{path}: {name} is damaged or was changed: its SHA-256 is {found}, "
            f"model.json wants {wanted}; copy the bundle again"
        )
    return content
