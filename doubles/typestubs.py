"""Types of NVIDIA's TensorRT bindings, from what the compiled module tells about itself.

The stubs are made on the machine that needs them and never committed: they derive from a package
whose licence does not let us pass it on.
"""

import ast
import re

HEADER = """\
# TensorRT {version}, made by doubles/typestubs.py. Not to be passed on.
# mypy: ignore-errors
import builtins
"""
FOOTER = "__version__: str\n"
LAST = "channel_axis: typing.SupportsInt"
CALLED_BACK = {"IErrorRecorder", "ILogger", "IProfiler", "IProgressMonitor"}  # ours, by TensorRT
ANSWERS = {  # null pointers, and a class that pybind11 did not know yet
    "build_serialized_network": "IHostMemory | None",
    "create_execution_context": "IExecutionContext | None",
    "create_timing_cache": "ITimingCache | None",
    "deserialize_cuda_engine": "ICudaEngine | None",
    "get_error": "ParserError",
    "get_timing_cache": "ITimingCache | None",
}


def repaired(raw: str, version: str) -> str:
    """Make one valid stub of what pybind11-stubgen writes. Raises `SyntaxError`."""
    tree = ast.parse(_valid(raw))
    first = tree.body.pop(0)  # from __future__, which must come first
    body = ast.unparse(ast.fix_missing_locations(_Repairs().visit(tree)))
    return f"{ast.unparse(first)}\n{HEADER.format(version=version)}{body}\n{FOOTER}"


def _valid(raw: str) -> str:
    """Mend what is no Python: parameters called `in`, one without a default after some with."""
    raw = re.sub(r"(?<=[(,] )in: ", "in_: ", raw)
    return raw.replace(f"power: Weights = None, {LAST})", f"power: Weights = None, {LAST} = ...)")


class _Repairs(ast.NodeTransformer):
    def __init__(self) -> None:
        self._integer = "typing.SupportsInt"

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self._integer = "int" if node.name in CALLED_BACK else "typing.SupportsInt"
        self.generic_visit(node)
        node.body = [child for child in node.body if not _docstring(child)]
        if node.name == "IHostMemory":
            node.body += ast.parse("def __buffer__(self, flags: int, /) -> memoryview: ...").body
        node.body = node.body or ast.parse("...").body
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.body = ast.parse("...").body  # without NVIDIA's words
        arguments = node.args.args
        if arguments and arguments[0].arg == "self":
            arguments[0].annotation = None  # some name a base class, which mypy refuses
        for argument in arguments:
            argument.annotation = self._taken(argument.annotation)
        given = arguments[len(arguments) - len(node.args.defaults) :]
        for argument, default in zip(given, node.args.defaults, strict=True):
            if isinstance(default, ast.Constant) and default.value is None and argument.annotation:
                argument.annotation = _type(f"{ast.unparse(argument.annotation)} | None")
        if node.name in ANSWERS:
            node.returns = _type(ANSWERS[node.name])
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """`trt.bool` is a data type, and would hide Python's own."""
        ours = node.id == "bool" and isinstance(node.ctx, ast.Load)
        return _type("builtins.bool") if ours else node

    def _taken(self, annotation: ast.expr | None) -> ast.expr | None:
        """Take what the bindings do: a tuple is a shape, too."""
        if annotation is None:
            return None
        text = ast.unparse(annotation).replace("typing.SupportsInt", self._integer)
        return _type(re.sub(r"\bDims\b", "Dims | collections.abc.Sequence[int]", text))


def _type(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _docstring(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(ast.Constant(str())):
            return True
    return False
