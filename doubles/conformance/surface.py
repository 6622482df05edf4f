"""What the genuine bindings of one version offer, as plain data.

Two versions cannot be imported into one process, so this runs as a program: `python -m
doubles.conformance.surface 11.4.0.106` prints JSON. Signatures come from pybind11's docstrings; the
prose in them is not trusted.
"""

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from doubles import genuine

SIGNATURE = re.compile(r"^(?:\d+\. )?\w*\((.*)\)(?: -> (.*?))?$", re.MULTILINE)
PARAMETER = re.compile(r"(\w+): ((?:[^,\[<(]|\[[^\]]*\]|<[^>]*>|\([^)]*\))+)")


@dataclass(frozen=True, slots=True)
class Signature:
    """One overload: parameters but `self`, those of them with defaults, what it returns."""

    parameters: list[str]
    optional: list[str]
    returns: str


@dataclass(frozen=True, slots=True)
class Member:
    """Of a class or of the module: a method, property, value (of an enum), class or function."""

    kind: str
    signatures: list[Signature] = field(default_factory=list)
    value: int | None = None
    settable: bool = False


@dataclass(frozen=True, slots=True)
class Surface:
    """Names of one version: those of the module, and those of each class."""

    version: str
    names: dict[str, Member]
    classes: dict[str, dict[str, Member]]


@cache
def surface(version: str) -> Surface:
    """Look at one version's bindings, in a process of their own."""
    command = [sys.executable, "-m", "doubles.conformance.surface", version]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    classes = {name: _members(members) for name, members in said["classes"].items()}
    return Surface(said["version"], _members(said["names"]), classes)


def _members(said: dict[str, Any]) -> dict[str, Member]:
    return {
        name: Member(
            m["kind"], [Signature(**s) for s in m["signatures"]], m["value"], m["settable"]
        )
        for name, m in said.items()
    }


def signatures(function: object) -> list[Signature]:
    """Read the overloads of a function, of pybind11's or of Python's."""
    if inspect.isfunction(function):
        return [of_python(function)]
    found = []
    for inside, returns in SIGNATURE.findall(getattr(function, "__doc__", None) or ""):
        if "*args" in inside:  # the heading of overloads, which follow
            continue
        pairs = PARAMETER.findall(inside)
        if pairs and pairs[0][0] == "self":
            del pairs[0]
        optional = [name for name, kind in pairs if " = " in kind]
        found.append(Signature([name for name, _ in pairs], optional, bare(returns)))
    return found


def of_python(function: Callable[..., object]) -> Signature:
    """Describe a function that is written in Python."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    optional = [p.name for p in parameters if p.default is not p.empty]
    return Signature([p.name for p in parameters], optional, "")


def bare(kind: str) -> str:
    """`list[Dims]` of `list[tensorrt_bindings.tensorrt.Dims]`, and the like of C++'s names."""
    return re.sub(r"[\w:.]+(?:\.|::)", "", kind)


def member(owner: object, name: str) -> Member:
    """Describe `owner.name`."""
    raw = inspect.getattr_static(owner, name)
    if isinstance(raw, property):
        getter = [Signature([], [], s.returns) for s in signatures(raw.fget)]
        return Member("property", getter, settable=raw.fset is not None)
    if inspect.isclass(raw):
        return Member("class", signatures(vars(raw).get("__init__")))
    if hasattr(type(raw), "__members__"):
        return Member("value", value=int(raw))
    if callable(raw) or hasattr(raw, "__func__"):
        return Member("method", signatures(raw))
    return Member("object")


def members(owner: type) -> dict[str, Member]:
    """Describe all public names of a class."""
    return {name: member(owner, name) for name in dir(owner) if not name.startswith("_")}


def _classes(
    owner: object, names: dict[str, Member], prefix: str = ""
) -> Iterator[tuple[str, dict[str, Member]]]:
    for name in (name for name, m in names.items() if m.kind == "class"):
        inner = members(getattr(owner, name))
        yield prefix + name, inner
        yield from _classes(getattr(owner, name), inner, f"{prefix}{name}.")


def _main(version: str) -> None:
    genuine.load_stubs(version)
    import tensorrt_bindings as trt

    names = {name: member(trt, name) for name in dir(trt) if not name.startswith("_")}
    classes = dict(_classes(trt, names))
    json.dump(asdict(Surface(trt.__version__, names, classes)), sys.stdout)


if __name__ == "__main__":
    _main(sys.argv[1])
