"""Does our source use names that the genuine bindings have? Wherever the class can be told."""

import ast
from collections.abc import Iterable
from pathlib import Path

from doubles.conformance.kinds import MODULE, Kinds, item
from doubles.conformance.surface import Member, Signature, Surface

Named = ast.FunctionDef | ast.AsyncFunctionDef


def complaints(files: Iterable[Path], genuine: Surface) -> list[str]:
    """List what the files use and one version of the genuine bindings does not have."""
    reader = _read(files, genuine)
    return reader.found


def used_members(files: Iterable[Path], genuine: Surface) -> set[str]:
    """Collect the enum members that files use, as "DataType.HALF"."""
    return _read(files, genuine).used


def told(files: Iterable[Path], genuine: Surface) -> set[str]:
    """Collect the names of objects whose class was told, as "IBuilderConfig.set_flag"."""
    return _read(files, genuine).told


def _read(files: Iterable[Path], genuine: Surface) -> "_Reader":
    trees = [(path, ast.parse(path.read_text("utf-8"))) for path in files]
    whole = _Reader(Kinds(genuine), Path())
    for path, tree in trees:
        kinds = Kinds(genuine)
        reader = whole
        for _ in range(2):  # what attributes and functions are is known at the second reading
            reader = _Reader(kinds, path)
            reader.visit(tree)
        whole.found += reader.found
        whole.used |= reader.used
        whole.told |= reader.told
    return whole


class _Reader(ast.NodeVisitor):
    """Goes through files in order; `kinds` grows on the way."""

    def __init__(self, kinds: Kinds, path: Path) -> None:
        self.kinds, self.path = kinds, path
        self.found: list[str] = []
        self.used: set[str] = set()
        self.told: set[str] = set()
        self._own: set[str] = set()  # public names of the class at hand that are not inherited
        self._called: set[int] = set()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module == "tensorrt_bindings":
            for alias in node.names:
                self.kinds.names[alias.name] = f"type {alias.name}"

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        bases = [self.kinds.of(base) for base in node.bases]
        base = next((b.removeprefix("type ") for b in bases if b), None)
        self._own = {f.name for f in node.body if isinstance(f, Named)} | {
            n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and _is_set(n)
        }
        before = self.kinds.names.copy()
        self.kinds.names.pop("self", None)
        if base:
            self.kinds.names["self"] = base
            self._overrides(node, base)
        self.generic_visit(node)
        self.kinds.names, self._own = before, set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if kind := self.kinds.annotated(node.returns):
            self.kinds.functions[node.name] = kind
        before = self.kinds.names.copy()
        for parameter in (*node.args.args, *node.args.kwonlyargs):
            if kind := self.kinds.annotated(parameter.annotation):
                self.kinds.names[parameter.arg] = kind
        self.generic_visit(node)
        self.kinds.names = before

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            self._bind(target, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        self._call_it(node.target, self.kinds.annotated(node.annotation))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.generic_visit(node)
        self._bind(node.target, node.value)

    def visit_For(self, node: ast.For) -> None:
        self._call_it(node.target, item(self.kinds.of(node.iter)))
        self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        for comprehension in node.generators:
            self._call_it(comprehension.target, item(self.kinds.of(comprehension.iter)))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._called.add(id(node.func))
        if isinstance(node.func, ast.Attribute) and (found := self.kinds.member(node.func)):
            if found.kind == "property":
                self._complain(node, f"{node.func.attr} is a property")
            elif found.signatures and not any(_fits(node, s) for s in found.signatures):
                theirs = " or ".join(str(s.parameters) for s in found.signatures)
                self._complain(node, f"{ast.unparse(node)}: it takes {theirs}")
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        owner = self.kinds.of(node.value)
        if owner and not node.attr.startswith("_"):
            found = self.kinds.find(owner, node.attr)
            if found:
                self._note(node, owner, found)
            elif not (isinstance(node.value, ast.Name) and node.value.id == "self"):
                self._complain(node, f"{owner} has no {node.attr}")
            elif node.attr not in self._own:
                self._complain(node, f"{owner} has no {node.attr}, and the class neither")
        self.generic_visit(node)

    def _note(self, node: ast.Attribute, owner: str, found: Member) -> None:
        self.told.add(f"{owner}.{node.attr}")
        if found.kind == "value":
            self.used.add(f"{owner.removeprefix('type ')}.{node.attr}")
        if _is_set(node) and not found.settable:
            self._complain(node, f"{owner}.{node.attr} cannot be set")
        elif found.kind == "method" and owner != MODULE and id(node) not in self._called:
            self._complain(node, f"{owner}.{node.attr} is a method and is not called")

    def _overrides(self, node: ast.ClassDef, base: str) -> None:
        for function in (f for f in node.body if isinstance(f, Named)):
            found = self.kinds.find(base, function.name)
            count = len(function.args.args) - 1
            if found and not any(len(s.parameters) == count for s in found.signatures):
                self._complain(function, f"{base}.{function.name} is called with other arguments")

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, of in zip(target.elts, value.elts, strict=True):
                self._bind(one, of)
        else:
            self._call_it(target, self.kinds.of(value))

    def _call_it(self, target: ast.expr, kind: str | None) -> None:
        if isinstance(target, ast.Name):
            self.kinds.names.pop(target.id, None)
            if kind:
                self.kinds.names[target.id] = kind
        elif isinstance(target, ast.Attribute) and kind:
            self.kinds.attributes[target.attr] = kind

    def _complain(self, node: ast.expr | ast.stmt, text: str) -> None:
        self.found.append(f"{self.path.name}:{node.lineno}: {text}")


def _is_set(node: ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Store)


def _fits(call: ast.Call, signature: Signature) -> bool:
    """Whether a call's arguments are those of one overload, by number and keyword."""
    if any(isinstance(a, ast.Starred) for a in call.args) or None in [k.arg for k in call.keywords]:
        return True  # not to be told
    names = signature.parameters
    given = [*names[: len(call.args)], *(str(k.arg) for k in call.keywords)]
    needed = set(names) - set(signature.optional)
    return (
        len(call.args) <= len(names)
        and set(given) <= set(names)
        and len(set(given)) == len(given)
        and needed <= set(given)
    )
