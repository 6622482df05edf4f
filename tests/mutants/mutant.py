"""A fault as a change of the code, and the tests that must find it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` occurs once in the file and is replaced by `new`; then `tests` run."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]
