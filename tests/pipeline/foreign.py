"""Values that foreign JSON may hold anywhere, and the places of a JSON value to put them."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

WRONG = [
    *(None, True, 0, -1, -5, 2**63, 10**30, 1.5, 1e9, float("nan"), float("inf"), -0.5),
    *("", "5", "x" * 100_000, "\x1b]0;OWNED\x07", "\ud800", "00000000", [], {}, [[1, 2]]),
    *({"a": {"a": {"a": 1}}}, [1, 2, 3], {"\x00": 1}, {"-1": 5}, {"9" * 5_000: 1}),
]

ANYTHING = st.recursive(
    st.integers(0, len(WRONG) - 1).map(lambda n: WRONG[n])
    | st.integers()
    | st.floats()
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def paths(content: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return every place in a JSON value."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(content, dict):
        inner = list(content.items())
    elif isinstance(content, list):
        inner = list(enumerate(content))
    for key, value in inner:
        yield (*before, key)
        yield from paths(value, (*before, key))


def changed(example: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    """Return the example with another value in one place; `...` removes it."""
    content = deepcopy(example)
    place = content
    for key in path[:-1]:
        place = place[key]
    if wrong is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = wrong
    return content
