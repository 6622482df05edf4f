"""A fault as a change of the code, and who should see it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` stands once in the file and becomes `new`; `tests` are what is run then."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]
