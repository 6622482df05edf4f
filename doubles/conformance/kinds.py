"""Of which genuine class is an expression? Told from annotations, constructors and return types.

A kind is "trt" for the module, "ITensor" for an object, "type ITensor" for the class itself, and
"list[ITensor]" for a list of objects. What cannot be told is None: mypy with the genuine stubs sees
to that.
"""

import ast
from dataclasses import dataclass, field

from doubles.conformance.surface import Member, Surface

MODULE = "trt"


@dataclass
class Kinds:
    """What names are in one function; and the attributes and functions of one file."""

    genuine: Surface
    names: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)

    def of(self, node: ast.expr) -> str | None:
        """Tell the kind of an expression."""
        match node:
            case ast.Name(id="trt"):
                return MODULE
            case ast.Name(id=name):
                return self.names.get(name)
            case ast.Attribute(value=value, attr=attr):
                return self._attribute(value, attr)
            case ast.Call(func=func):
                return self._result(func)
            case ast.ListComp(elt=elt):
                inner = self.of(elt)
                return inner and f"list[{inner}]"
            case ast.Subscript(value=value):
                return item(self.of(value))
        return None

    def member(self, node: ast.Attribute) -> Member | None:
        """Find what an attribute of a known owner is; None if the owner is not known."""
        owner = self.of(node.value)
        return self.find(owner, node.attr) if owner else None

    def find(self, owner: str, name: str) -> Member | None:
        """Find a name of a kind; None if it has none of that name."""
        if owner == MODULE:
            return self.genuine.names.get(name)
        return self.genuine.classes.get(owner.removeprefix("type "), {}).get(name)

    def annotated(self, node: ast.expr | None) -> str | None:
        """Tell the kind that an annotation promises: `trt.X`, `trt.X | None`, a list, a string."""
        match node:
            case ast.Constant(value=str(text)):
                return self.annotated(ast.parse(text, mode="eval").body)
            case ast.Attribute():
                kind = self.of(node)
                return kind.removeprefix("type ") if kind else None
            case ast.BinOp(left=left, right=right):
                return self.annotated(left) or self.annotated(right)
            case ast.Subscript(value=ast.Name(id="list" | "Sequence"), slice=inner):
                kind = self.annotated(inner)
                return kind and f"list[{kind}]"
        return None

    def _attribute(self, value: ast.expr, attr: str) -> str | None:
        owner = self.of(value)
        if owner is None:
            return self.attributes.get(attr)
        found = self.find(owner, attr)
        if found is None:
            return self.attributes.get(attr)
        if found.kind == "class":
            return f"type {attr}" if owner == MODULE else f"{owner}.{attr}"
        if found.kind == "value":
            return owner.removeprefix("type ")
        return self._returned(found) if found.kind == "property" else None

    def _result(self, func: ast.expr) -> str | None:
        kind = self.of(func)
        if kind and kind.startswith("type "):
            return kind.removeprefix("type ")
        if isinstance(func, ast.Attribute) and (found := self.member(func)):
            return self._returned(found)
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        return self.functions.get(name)

    def _returned(self, found: Member) -> str | None:
        for signature in found.signatures:
            for name in (signature.returns, signature.returns.removeprefix("I")):  # IParserError
                if (item(name) or name) in self.genuine.classes:
                    return name
        return None


def item(kind: str | None) -> str | None:
    """`X` of `list[X]`."""
    return kind[5:-1] if kind and kind.startswith("list[") else None
