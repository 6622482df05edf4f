"""Rewrites an encoder of pictures so that it takes planes: the same bits in less time.

Exported encoders begin with arithmetic on pixels (N, H, W, 3), channel by channel, and transpose
the result. ONNX Runtime is slow at broadcasting over a last axis of three. The same arithmetic on
planes (N, 3, H, W) needs no transposition at all. The bundle and its digest stay as they are. This
needs no onnx, whose import would take longer than all else of a worker's start.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from engines.model.ports import Port

ELEMENTWISE = {b"Cast": 1, b"Add": 2, b"Sub": 2, b"Mul": 2, b"Div": 2}  # and how many inputs
TO_PLANES = [0, 3, 1, 2]
CHANNELS = 3
_GRAPH = 7  # of a model
_NODE, _WEIGHT, _INPUT, _VALUE_INFO = 1, 5, 11, 13  # of a graph
_READS, _GIVES, _OP_TYPE, _ATTRIBUTE = 1, 2, 4, 5  # of a node
_INTS = 8  # of an attribute
_DIMS, _WEIGHT_NAME = 1, 8  # of a tensor
_NAME = 1  # of an input and of an attribute
_SHAPE = (2, 1, 2)  # of an input: its type, the tensor in that, the shape in that
_VARINT, _BYTES = 0, 2  # wire types
_FIXED = {1: 8, 5: 4}  # the sizes of the others

Content: TypeAlias = bytes | memoryview  # both have the same hash


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a message: its number, how its value is written, and the bytes of that."""

    place: int
    wire: int
    value: Content


@dataclass(slots=True)
class _Node:
    reads: list[Content]
    gives: list[Content]
    rest: list[_Field]

    @classmethod
    def of(cls, content: Content) -> "_Node":
        fields = _parse(content)
        rest = [field for field in fields if field.place not in (_READS, _GIVES)]
        return cls(_all(fields, _READS), _all(fields, _GIVES), rest)

    @property
    def op_type(self) -> Content:
        return _one(self.rest, _OP_TYPE)

    @property
    def permutes(self) -> list[int]:
        """The permutation of a transposition."""
        attributes = [_parse(content) for content in _all(self.rest, _ATTRIBUTE)]
        return next((_numbers(a, _INTS) for a in attributes if _one(a, _NAME) == b"perm"), [])

    @property
    def content(self) -> bytes:
        reads = [_Field(_READS, _BYTES, name) for name in self.reads]
        gives = [_Field(_GIVES, _BYTES, name) for name in self.gives]
        return _join([*reads, *gives, *self.rest])


def planar(encoder: bytes, port: Port) -> bytes | None:
    """Return the encoder for planes (N, 3, H, W) in place of `port`'s pixels (N, H, W, 3).

    None if it does not begin as described. The graph's bytes must have been checked.
    """
    if len(port.shape) != 3 or port.shape[-1] != CHANNELS:
        return None
    graph = _parse(_one(_parse(encoder), _GRAPH))
    nodes = [_Node.of(content) for content in _all(graph, _NODE)]
    weights = {_one(_parse(content), _WEIGHT_NAME): content for content in _all(graph, _WEIGHT)}
    pixels: Content = port.name.encode()
    added: list[bytes] = []
    while True:
        readers = [node for node in nodes if pixels in node.reads]
        if len(readers) != 1:
            return None
        (node,) = readers
        if node.op_type == b"Transpose":
            break
        if node.reads[0] != pixels or len(node.reads) != ELEMENTWISE.get(bytes(node.op_type)):
            return None
        for constant in node.reads[1:]:
            name = b"longtake/planes/%d" % len(added)
            weight = _by_planes(weights.get(constant), name)
            if weight is None:
                return None
            added.append(weight)
            node.reads[1:] = [name]
        (pixels,) = node.gives
    if node.permutes != TO_PLANES:
        return None
    nodes.remove(node)
    for other in nodes:
        other.reads = [pixels if name == node.gives[0] else name for name in other.reads]
    rest = [
        _permuted(field, port)
        for field in graph
        if field.place not in (_NODE, _VALUE_INFO)  # which would say wrong shapes
    ]
    rest += [_Field(_NODE, _BYTES, node.content) for node in nodes]
    rest += [_Field(_WEIGHT, _BYTES, weight) for weight in added]
    return _changed(encoder, (_GRAPH,), lambda _: _join(rest))


def _by_planes(weight: Content | None, name: bytes) -> bytes | None:
    """Copy a weight of one value, or of one for each channel, for planes; None for others."""
    if weight is None:
        return None
    fields = _parse(weight)
    dims = _numbers(fields, _DIMS)
    if len(dims) > len(TO_PLANES) or any(size != 1 for size in dims[:-1]):
        return None
    if dims and dims[-1] != 1:
        if dims[-1] != CHANNELS:
            return None
        dims = [CHANNELS, 1, 1]
    rest = [field for field in fields if field.place not in (_DIMS, _WEIGHT_NAME)]
    shape = [_Field(_DIMS, _VARINT, bytes([size])) for size in dims]
    return _join([*shape, _Field(_WEIGHT_NAME, _BYTES, name), *rest])


def _permuted(field: _Field, port: Port) -> _Field:
    """Permute the shape of the input `port`; other fields are returned unchanged."""
    if field.place != _INPUT or _one(_parse(field.value), _NAME) != port.name.encode():
        return field
    return _Field(_INPUT, _BYTES, _changed(field.value, _SHAPE, _shape_of_planes))


def _shape_of_planes(shape: Content) -> bytes:
    sizes = _parse(shape)
    return _join(sizes[at] for at in TO_PLANES)


def _changed(content: Content, path: Sequence[int], change: Callable[[Content], bytes]) -> bytes:
    """Change the message that lies at a path of fields."""
    if not path:
        return change(content)
    return _join(
        _Field(field.place, field.wire, _changed(field.value, path[1:], change))
        if field.place == path[0]
        else field
        for field in _parse(content)
    )


def _all(fields: Iterable[_Field], place: int) -> list[Content]:
    return [field.value for field in fields if field.place == place]


def _one(fields: Iterable[_Field], place: int) -> Content:
    return next(iter(_all(fields, place)), b"")


def _numbers(fields: Iterable[_Field], place: int) -> list[int]:
    """Return repeated numbers, which may be packed into one field."""
    numbers: list[int] = []
    for field in fields:
        if field.place == place and field.wire == _VARINT:
            numbers.append(_varint(field.value, 0)[0])
        elif field.place == place:
            at = 0
            while at < len(field.value):
                number, at = _varint(field.value, at)
                numbers.append(number)
    return numbers


def _parse(content: Content) -> list[_Field]:
    content = memoryview(content)  # a weight may have megabytes
    fields, at = [], 0
    while at < len(content):
        tag, at = _varint(content, at)
        wire = tag & 7
        if wire == _VARINT:
            _, end = _varint(content, at)
        elif wire == _BYTES:
            length, at = _varint(content, at)
            end = at + length
        else:
            end = at + _FIXED[wire]
        fields.append(_Field(tag >> 3, wire, content[at:end]))
        at = end
    return fields


def _join(fields: Iterable[_Field]) -> bytes:
    parts: list[Content] = []
    for field in fields:
        parts.append(_as_varint(field.place << 3 | field.wire))
        if field.wire == _BYTES:
            parts.append(_as_varint(len(field.value)))
        parts.append(field.value)
    return b"".join(parts)


def _varint(content: Content, at: int) -> tuple[int, int]:
    """Return the number at a place, and the place behind it."""
    number = shift = 0
    while True:
        byte = content[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


def _as_varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)
