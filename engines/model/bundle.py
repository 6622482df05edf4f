"""A model on disk becomes a checked value. The only place that knows docs/bundle.md's format."""

import hashlib
import json
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    model_validator,
)

from engines.errors import BundleError
from engines.model.verdicts import Verdicts

SHIPPED = Path(__file__).parents[1] / "bundles"
MAX_MODEL_BYTES = 1 << 20
MAX_GRAPH_BYTES = 2 << 30  # what one protobuf message can hold

Triple = tuple[float, float, float]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Index = Annotated[int, Field(ge=0)]
Bone = Annotated[tuple[Index, Index], Field(strict=False)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class InputSpec(_Part):
    """What the pictures must look like. `mean` and `std` are told, the graph applies them."""

    height: Positive
    width: Positive
    fit: Literal["stretch", "letterbox", "crop"]
    colour: Literal["rgb"]
    mean: Annotated[Triple, Field(strict=False)]
    std: Annotated[tuple[PositiveFloat, PositiveFloat, PositiveFloat], Field(strict=False)]
    rate_hz: PositiveFloat | None


class StateSpec(_Part):
    """One tensor that is carried from frame to frame; `shape` is without the leading N."""

    name: Name
    input: Text
    output: Text
    shape: Annotated[tuple[Positive, ...], Field(strict=False)]
    dtype: Literal["float32", "float16", "int32", "int64"]

    @property
    def numpy_dtype(self) -> np.dtype[np.generic]:
        """The dtype as numpy knows it."""
        return np.dtype(self.dtype)


class Skeleton(_Part):
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


class _Files(_Part):
    encoder: Sha256 = Field(alias="encoder.onnx")
    head: Sha256 = Field(alias="head.onnx")


class _Model(_Part):
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
    """A checked bundle, all of it in memory: where it came from does not matter any more."""

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

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Shape (H, W, 3) of the pixels of one frame."""
        return self.input.height, self.input.width, 3


def find_bundle(name_or_path: str) -> Path:
    """Tell where a bundle is: a bare name is one of those shipped, all else is a path."""
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

    The graphs are not checked again if `verdicts` know that they have passed.
    """
    files = _Archive(path) if path.is_file() else _Folder(path)
    described = files.read("model.json", MAX_MODEL_BYTES)
    model = _parse(described, f"{path}: model.json")
    encoder = _read_graph(files, path, "encoder.onnx", model.files.encoder)
    head = _read_graph(files, path, "head.onnx", model.files.head)
    digest = hashlib.sha256(described).hexdigest()
    if verdicts is None or not verdicts.passed("graphs", digest):
        _check_graphs(model, encoder, head, str(path))
        if verdicts is not None:
            verdicts.remember("graphs", digest)
    return Bundle(
        name=model.name,
        labels=model.labels,
        activation=model.activation,
        input=model.input,
        features=model.features,
        state=model.state,
        skeleton=model.skeleton,
        training=model.training,
        digest=digest,
        encoder=encoder,
        head=head,
    )


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
    from engines.model.graph import Port, check_graph  # it brings onnx along

    pixels = (model.input.height, model.input.width, 3)
    frames = Port("frames", np.dtype(np.uint8), pixels)
    features = Port("features", np.dtype(np.float32), (model.features,))
    logits = Port("logits", np.dtype(np.float32), (len(model.labels),))
    taken = [Port(spec.input, spec.numpy_dtype, spec.shape) for spec in model.state]
    given = [Port(spec.output, spec.numpy_dtype, spec.shape) for spec in model.state]
    check_graph(encoder, f"{where}: encoder.onnx", [frames], [features])
    check_graph(head, f"{where}: head.onnx", [features, *taken], [logits, *given])


def _parse(described: bytes, where: str) -> _Model:
    try:
        return _Model.model_validate_json(described)
    except ValidationError as exc:
        faults = "; ".join(_sentences(exc))
        raise BundleError(f"{where}: {faults} (docs/bundle.md describes the format)") from exc


def _sentences(exc: ValidationError) -> Iterator[str]:
    for error in exc.errors(include_url=False, include_context=False):
        where = ".".join(str(step) for step in error["loc"]) or "the whole"
        if error["type"] == "extra_forbidden":
            yield f"{where}: unknown key"
        elif error["type"] == "missing":
            yield f"{where}: missing"
        else:
            came = repr(error["input"])
            came = came if len(came) <= 80 else f"{came[:77]}..."
            yield f"{where}: {error['msg']}; it is {came}"


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    twins = [name for name, count in Counter(names).items() if count > 1]
    if twins:
        raise ValueError(f"{what} must differ from each other, {twins[0]!r} comes twice")


class _Folder:
    """Files of a bundle in a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str, limit: int) -> bytes:
        """Read one file whole, refusing more than `limit` bytes."""
        try:
            with (self._path / name).open("rb") as file:
                size = os.fstat(file.fileno()).st_size  # or the buffer would be as big as `limit`
                return _at_most(file.read(min(size, limit) + 1), limit, f"{self._path}: {name}")
        except OSError as exc:
            raise BundleError(f"{self._path}: {name} cannot be read: {exc.strerror}") from exc


class _Archive:
    """Files of a bundle in a .zip. Nothing is unpacked to disk; other members are not touched."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str, limit: int) -> bytes:
        """Read one member whole, refusing more than `limit` bytes, declared or real."""
        where = f"{self._path}: {name}"
        try:
            with zipfile.ZipFile(self._path) as archive:
                declared = archive.getinfo(name).file_size
                if declared > limit:
                    raise BundleError(f"{where} is {declared:,} bytes, at most {limit:,} are read")
                with archive.open(name) as file:
                    return _at_most(file.read(limit + 1), limit, where)
        except KeyError as exc:
            raise BundleError(f"{where} is missing; it must be at the top of the .zip") from exc
        except (zipfile.BadZipFile, OSError, EOFError, zlib.error) as exc:
            raise BundleError(f"{where} cannot be read: {exc}") from exc
        except (NotImplementedError, RuntimeError) as exc:  # encrypted, or an exotic compression
            raise BundleError(f"{where} cannot be unpacked: {exc}; use a plain .zip") from exc


def _read_graph(files: _Folder | _Archive, path: Path, name: str, wanted: str) -> bytes:
    content = files.read(name, MAX_GRAPH_BYTES)
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise BundleError(
            f"{path}: {name} is damaged or was changed: its SHA-256 is {found}, "
            f"model.json wants {wanted}; copy the bundle again"
        )
    return content


def _at_most(content: bytes, limit: int, where: str) -> bytes:
    if len(content) > limit:
        raise BundleError(f"{where} is larger than the {limit:,} bytes that are read at most")
    return content
