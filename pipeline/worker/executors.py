"""The executors that do the worker's blocking work."""

from concurrent.futures import Executor
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Executors:
    """The executors of a worker. All except `decodes` run one task at a time."""

    decodes: Executor
    writes: Executor
    reads: Executor
    sends: Executor
