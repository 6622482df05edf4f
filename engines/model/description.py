"""`model.json`, field for field, with the largest values that are accepted.

docs/bundle.md describes the format. A size is only a number until memory is allocated for it, so
each has a ceiling here, before anything is allocated.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from engines.errors import BundleError
from engines.model.inputs import InputSpec
from engines.model.json_parts import Part, PlainText, Positive

MAX_LABELS = 10_000
MAX_LABELS_BYTES = 64 << 10  # in UTF-8: each prediction has all labels in it
MAX_FEATURES = 1 << 18
MAX_STATES = 256
MAX_AXES = 8
MAX_STATE_BYTES = 8 << 20  # of one stream: it is in one record of the changelog
MAX_JOINTS = 256
MAX_BONES = 1024
MAX_FAULTS = 20  # that an error message lists
_SHOWN = 80

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")]
Index = Annotated[int, Field(ge=0)]
Bone = Annotated[tuple[Index, Index], Field(strict=False)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _bounded_labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    _refuse_twins("labels", labels)
    text_bytes = sum(len(label.encode()) for label in labels)
    if text_bytes > MAX_LABELS_BYTES:
        raise ValueError(
            f"labels are {text_bytes:,} bytes of text, at most {MAX_LABELS_BYTES:,} are taken"
        )
    return labels


Labels = Annotated[
    tuple[PlainText, ...],
    Field(strict=False, min_length=1, max_length=MAX_LABELS),
    AfterValidator(_bounded_labels),
]


def _bounded(shape: tuple[int, ...]) -> tuple[int, ...]:
    if math.prod(shape) > MAX_STATE_BYTES:
        raise ValueError(f"more than {MAX_STATE_BYTES:,} values")
    return shape


class StateSpec(Part):
    """One tensor that is carried from step to step; `shape` is without the leading N."""

    name: Name
    input: PlainText
    output: PlainText
    shape: Annotated[
        tuple[Positive, ...], Field(strict=False, max_length=MAX_AXES), AfterValidator(_bounded)
    ]
    dtype: Literal["float32", "float16", "int32", "int64"]

    @property
    def numpy_dtype(self) -> np.dtype[np.generic]:
        """The dtype as numpy knows it."""
        return np.dtype(self.dtype)

    @property
    def row_bytes(self) -> int:
        """The size of one stream's tensor."""
        return math.prod(self.shape) * self.numpy_dtype.itemsize


class Skeleton(Part):
    """Says that the first features are places: joint j has x, y and depth in 3j, 3j+1 and 3j+2.

    x (right) and y (down) count in half pictures from the centre of what the model sees; `bones`
    are pairs of joints.
    """

    joints: Annotated[
        tuple[PlainText, ...], Field(strict=False, min_length=1, max_length=MAX_JOINTS)
    ]
    bones: Annotated[tuple[Bone, ...], Field(strict=False, max_length=MAX_BONES)]

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


class Digests(Part):
    """The SHA-256 of each graph's file."""

    encoder: Sha256 = Field(alias="encoder.onnx")
    head: Sha256 = Field(alias="head.onnx")


class Description(Part):
    """The whole of `model.json`."""

    schema_version: Literal[1] = Field(alias="schema")
    name: Name
    labels: Labels
    activation: Literal["softmax", "sigmoid"]
    input: InputSpec
    features: Annotated[Positive, Field(le=MAX_FEATURES)]
    state: Annotated[tuple[StateSpec, ...], Field(strict=False, max_length=MAX_STATES)]
    skeleton: Skeleton | None = None
    training: dict[str, JsonValue]
    files: Digests

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        _refuse_twins("state names", [state.name for state in self.state])
        _refuse_twins("head inputs", ["features", *(state.input for state in self.state)])
        _refuse_twins("head outputs", ["logits", *(state.output for state in self.state)])
        return self

    @model_validator(mode="after")
    def _state_is_bounded(self) -> Self:
        state_bytes = sum(state.row_bytes for state in self.state)
        if state_bytes > MAX_STATE_BYTES:
            raise ValueError(
                f"the state of a stream is {state_bytes:,} bytes, at most {MAX_STATE_BYTES:,} are"
                " taken"
            )
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


def read_description(described: bytes, where: str) -> Description:
    """Read the bytes of `model.json`. Raises `BundleError`, which starts with `where`."""
    try:
        return Description.model_validate_json(described)
    except ValidationError as exc:
        faults = "; ".join(_sentences(exc))
        raise BundleError(f"{where}: {faults} (docs/bundle.md describes the format)") from exc


def check_labels(labels: Sequence[str], where: str) -> None:
    """Raise `BundleError`, which starts with `where`, if a bundle may not have these labels."""
    try:
        TypeAdapter(Labels).validate_python(tuple(labels))
    except ValidationError as exc:
        raise BundleError(f"{where}: labels: {'; '.join(_sentences(exc))}") from exc


def _sentences(exc: ValidationError) -> Iterator[str]:
    for error in exc.errors(include_url=False, include_context=False)[:MAX_FAULTS]:
        steps = error["loc"]
        if steps[:1] == ("input",):
            steps = ("input", *steps[2:])  # the second is the kind, which is no key
        where = ".".join(_step(step) for step in steps) or "the whole"
        if error["type"] == "extra_forbidden":
            yield f"{where}: unknown key"
        elif error["type"] == "missing":
            yield f"{where}: missing"
        else:
            unknown_kind = error["type"] == "input_kind"
            came = repr(error["input"]["kind"] if unknown_kind else error["input"])
            came = came if len(came) <= _SHOWN else f"{came[: _SHOWN - 3]}..."
            yield f"{where}: {error['msg']}; it is {came}"


def _step(step: int | str) -> str:
    """A key may be any text of the file: it is shown as Python writes it, unless it is plain."""
    text = str(step)
    return text if text.isprintable() and len(text) <= _SHOWN else ascii(text[:_SHOWN])


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    twins = [name for name, count in Counter(names).items() if count > 1]
    if twins:
        raise ValueError(f"{what} must differ from each other, {twins[0]!r} comes twice")
