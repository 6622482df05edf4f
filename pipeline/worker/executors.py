"""Where the worker's blocking work is done."""

from concurrent.futures import Executor
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Executors:
    """The threads of a worker. All but `decodes` run one task at a time."""

    decodes: Executor
    writes: Executor
    reads: Executor
    sends: Executor
