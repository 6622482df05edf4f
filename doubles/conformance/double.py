"""Is the double what it stands for? Every public name of it must be a genuine one, of one form."""

import inspect
from collections.abc import Collection, Iterator, Mapping

from doubles.conformance.surface import Member, Signature, Surface, of_python

MOVED = {  # values that differ between 10 and 11, which nobody may write down as a number
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED"
}


def complaints(
    double: Mapping[str, object], genuine: Surface, used: Collection[str], *, exact: bool
) -> list[str]:
    """List what of the double's names the genuine bindings do not have in that form.

    `exact` is for the version whose enums the double has; of other versions only the enum members
    in `used` ("DataType.HALF") must be the same.
    """
    found: list[str] = []
    for name, thing in double.items():
        known = genuine.names.get(name)
        if known is None:
            found.append(f"{name}: {genuine.version} has no such name")
        elif hasattr(thing, "__members__"):
            found += _enum(name, thing.__members__, genuine.classes[name], used, exact=exact)
        elif inspect.isclass(thing):
            found += _class(name, thing, known, genuine.classes.get(name, {}))
        elif inspect.isfunction(thing):
            found += _callable(name, of_python(thing), known)
    return found


def _enum(
    name: str,
    mine: Mapping[str, object],
    genuine: Mapping[str, Member],
    used: Collection[str],
    *,
    exact: bool,
) -> Iterator[str]:
    for key, value in mine.items():
        full, known = f"{name}.{key}", genuine.get(key)
        if not exact and full not in used:
            continue
        if known is None or known.kind != "value":
            yield f"{full}: no such member"
        elif known.value != int(value) and (exact or full not in MOVED):  # type: ignore[call-overload]
            yield f"{full}: {value!r}, genuine {known.value}"


def _class(name: str, mine: type, genuine: Member, members: Mapping[str, Member]) -> Iterator[str]:
    if genuine.kind != "class":
        yield f"{name}: genuine is a {genuine.kind}"
        return
    if genuine.signatures and inspect.isfunction(vars(mine).get("__init__")):
        yield from _callable(name, of_python(mine.__init__), genuine)  # type: ignore[misc]
    if mine.__module__.startswith("tensorrt_bindings"):
        return
    hidden = set(dir(bytes)) if issubclass(mine, bytes) else set()
    for key in (key for key in dir(mine) if not key.startswith("_") and key not in hidden):
        full, known = f"{name}.{key}", members.get(key)
        attribute = inspect.getattr_static(mine, key)
        if known is None:
            yield f"{full}: no such name"
        elif not callable(attribute):
            yield from _property(full, attribute, known)
        elif known.kind != "method":
            yield f"{full}: a method, genuine is a {known.kind}"
        else:
            yield from _callable(full, of_python(attribute), known)


def _property(full: str, mine: object, genuine: Member) -> Iterator[str]:
    settable = not isinstance(mine, property) or mine.fset is not None
    if genuine.kind != "property":
        yield f"{full}: a property, genuine is a {genuine.kind}"
    elif settable and not genuine.settable:
        yield f"{full}: can be set, genuine cannot"


def _callable(full: str, mine: Signature, genuine: Member) -> Iterator[str]:
    if not any(_same(mine, other) for other in genuine.signatures):
        theirs = [(s.parameters, s.optional) for s in genuine.signatures]
        yield f"{full}: {mine.parameters}, optional {mine.optional}, genuine {theirs}"


def _same(mine: Signature, genuine: Signature) -> bool:
    nameless = any(name.startswith("arg") for name in genuine.parameters)
    if nameless:
        return len(mine.parameters) == len(genuine.parameters)
    return (mine.parameters, mine.optional) == (genuine.parameters, genuine.optional)
