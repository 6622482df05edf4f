"""Checks the bytes of a graph before any library parses them: no other file, no code, no excess.

A message of the ONNX format may hold the fields listed here and no others, so a way to data in
another file that a future version of the format adds is refused until it is listed. The walk needs
no onnx and takes milliseconds: `load_bundle` makes it at every start.
"""

from collections.abc import Mapping, Sequence

from engines.errors import BundleError
from engines.model.allowed_ops import MAX_OPSET, MIN_OPSET, REFUSED, STANDARD

MAX_NODES = 20_000
MAX_FIELDS = 500_000  # a parsed field takes up to 200 bytes, however short it is in the file
MAX_DEPTH = 32  # of messages in messages; subgraphs lie below 10

NUMBER, BYTES = "number", "bytes"  # kinds of fields; other kinds are names of messages
_TEXTS = "StringStringEntryProto"

FIELDS: Mapping[str, Mapping[int, str]] = {
    "ModelProto": {
        **dict.fromkeys((1, 5), NUMBER),
        **dict.fromkeys((2, 3, 4, 6), BYTES),
        7: "GraphProto",
        8: "OperatorSetIdProto",
        14: _TEXTS,
    },
    "OperatorSetIdProto": {1: BYTES, 2: NUMBER},
    "GraphProto": {
        1: "NodeProto",
        **dict.fromkeys((2, 10), BYTES),
        5: "TensorProto",
        **dict.fromkeys((11, 12, 13), "ValueInfoProto"),
        14: "TensorAnnotation",
        16: _TEXTS,
    },
    "NodeProto": {**dict.fromkeys((1, 2, 3, 4, 6, 7, 8), BYTES), 5: "AttributeProto", 9: _TEXTS},
    "AttributeProto": {
        **dict.fromkeys((1, 4, 9, 13, 21), BYTES),
        **dict.fromkeys((2, 3, 7, 8, 20), NUMBER),
        **dict.fromkeys((5, 10), "TensorProto"),
        **dict.fromkeys((6, 11), "GraphProto"),
        **dict.fromkeys((14, 15), "TypeProto"),
    },
    "TensorProto": {
        **dict.fromkeys((1, 2, 4, 5, 7, 10, 11, 14), NUMBER),
        **dict.fromkeys((6, 8, 9, 12), BYTES),
        3: "Segment",
        16: _TEXTS,
    },
    "Segment": {1: NUMBER, 2: NUMBER},
    _TEXTS: {1: BYTES, 2: BYTES},
    "TensorAnnotation": {1: BYTES, 2: _TEXTS},
    "ValueInfoProto": {1: BYTES, 2: "TypeProto", 3: BYTES, 4: _TEXTS},
    "TypeProto": {1: "Tensor", 4: "Sequence", 5: "Map", 6: BYTES, 9: "Optional"},
    "Tensor": {1: NUMBER, 2: "TensorShapeProto"},
    "TensorShapeProto": {1: "Dimension"},
    "Dimension": {1: NUMBER, 2: BYTES, 3: BYTES},
    "Sequence": {1: "TypeProto"},
    "Map": {1: NUMBER, 2: "TypeProto"},
    "Optional": {1: "TypeProto"},
}
_ELSEWHERE = "is in another file; save the model with save_as_external_data=False"
_SPARSE = "has a sparse tensor; export it as a dense one"
_DEVICES = "is split over devices; export it for one"
FORBIDDEN: Mapping[tuple[str, int], str] = {
    ("TensorProto", 13): _ELSEWHERE,
    ("ModelProto", 20): "has training information; export it for inference",
    ("ModelProto", 25): "has local functions; inline them (onnx.inliner)",
    ("ModelProto", 26): _DEVICES,
    ("NodeProto", 10): _DEVICES,
    ("GraphProto", 15): _SPARSE,
    ("AttributeProto", 22): _SPARSE,
    ("AttributeProto", 23): _SPARSE,
    ("TypeProto", 8): _SPARSE,
    ("TypeProto", 7): "has an opaque type; only standard types run on every engine",
}
_OP_TYPE, _NODE_NAME, _NODE_DOMAIN = 4, 3, 7
_TENSOR_NAME, _DATA_LOCATION = 8, 14
KEPT = {
    "NodeProto": (_OP_TYPE, _NODE_NAME, _NODE_DOMAIN),
    "OperatorSetIdProto": (1, 2),
    "TensorProto": (_TENSOR_NAME, _DATA_LOCATION),
}
_WIRE_SIZES = {1: 8, 5: 4}  # wire types of fixed size; 0 is a varint, 2 has a length before it
_SHOWN = 80

Kept = Mapping[int, Sequence[int | bytes]]


def check_bytes(content: bytes, where: str) -> None:
    """Raise `BundleError`, starting with `where`, if the graph holds what no graph may hold."""
    _Walk(content, where).message("ModelProto", 0, len(content), depth=0)


class _Walk:
    """One walk over the bytes of a graph."""

    def __init__(self, content: bytes, where: str) -> None:
        self._content = content
        self._where = where
        self._nodes = self._fields = 0

    def message(self, kind: str, at: int, end: int, *, depth: int) -> None:
        """Check the message in [at, end), and all messages in it."""
        if depth > MAX_DEPTH:
            raise self._fault(f"has messages more than {MAX_DEPTH} deep in each other")
        known, kept_fields = FIELDS[kind], KEPT.get(kind, ())
        kept: dict[int, list[int | bytes]] = {}
        while at < end:
            self._count()
            tag, at = self._varint(at, end)
            field, wire_type = tag >> 3, tag & 7
            if (forbidden := FORBIDDEN.get((kind, field))) is not None:
                raise self._fault(_weight(kept) + forbidden if kind == "TensorProto" else forbidden)
            start, at, number = self._value(wire_type, at, end)
            wanted = known.get(field)
            if wanted is None or (wanted is not NUMBER and wire_type != 2):
                raise self._fault(
                    f"has field {field} in a {kind}, which no bundle may have: export it with a"
                    " version of onnx that longtake knows"
                )
            if wanted is not NUMBER and wanted is not BYTES:
                self.message(wanted, start, at, depth=depth + 1)
            elif field in kept_fields:
                value = self._content[start:at] if number is None else number
                kept.setdefault(field, []).append(value)
        self._check(kind, kept)

    def _check(self, kind: str, kept: Kept) -> None:
        if kind == "NodeProto":
            self._check_node(kept)
        elif kind == "OperatorSetIdProto":
            self._check_opset(kept)
        elif kind == "TensorProto" and any(place != 0 for place in kept.get(_DATA_LOCATION, ())):
            raise self._fault(_weight(kept) + _ELSEWHERE)

    def _check_node(self, kept: Kept) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._fault(f"has more than {MAX_NODES:,} nodes")
        name = _last(kept, _NODE_NAME)
        for domain in map(_text, kept.get(_NODE_DOMAIN, ())):
            if domain not in STANDARD:
                op_type = f"{domain}.{_last(kept, _OP_TYPE)}"
                raise self._fault(
                    f"node {_shown(name)} is {_shown(op_type)[1:-1]};"
                    " only standard ONNX ops run on every engine"
                )
        for op_type in map(_text, kept.get(_OP_TYPE, ())):
            if op_type in REFUSED:
                raise self._fault(
                    f"node {_shown(name)} is {op_type}, which is refused: {REFUSED[op_type]}"
                )

    def _check_opset(self, kept: Kept) -> None:
        versions = [v if isinstance(v, int) else -1 for v in kept.get(2, ())] or [0]
        standard = [_text(domain) in STANDARD for domain in kept.get(1, ())] or [True]
        if any(standard) and not all(MIN_OPSET <= v <= MAX_OPSET for v in versions):
            raise self._fault(
                f"opset {versions[-1]}, wanted is {MIN_OPSET} to {MAX_OPSET};"
                f" export again with opset_version={MIN_OPSET} or above"
            )

    def _value(self, wire_type: int, at: int, end: int) -> tuple[int, int, int | None]:
        """Return where a field's value begins and ends, and the value if it is a varint."""
        if wire_type == 0:
            number, after = self._varint(at, end)
            return at, after, number
        if wire_type == 2:
            length, at = self._varint(at, end)
        else:
            length = _WIRE_SIZES.get(wire_type, -1)
        if not 0 <= length <= end - at:
            raise self._no_model()
        return at, at + length, None

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        number = shift = 0
        content = self._content
        while at < end and shift < 70:
            byte = content[at]
            number |= (byte & 127) << shift
            at += 1
            if byte < 128:
                return number, at
            shift += 7
        raise self._no_model()

    def _count(self) -> None:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise self._fault(f"has more than {MAX_FIELDS:,} fields")

    def _fault(self, what: str) -> BundleError:
        return BundleError(f"{self._where}: {what}")

    def _no_model(self) -> BundleError:
        return BundleError(f"{self._where} is not an ONNX model: it is cut or damaged")


def _weight(kept: Kept) -> str:
    return f"weight {_shown(_last(kept, _TENSOR_NAME))} "


def _last(kept: Kept, field: int) -> str:
    return _text(kept.get(field, (b"",))[-1])


def _text(raw: int | bytes) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)


def _shown(text: str) -> str:
    return repr(text[:_SHOWN])
