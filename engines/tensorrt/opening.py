"""Loads the plan of a graph: from the cache, or built."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from time import monotonic

import tensorrt as trt
from pydantic import JsonValue

from engines.base import BuildProgress, PlanFound
from engines.errors import BuildError
from engines.tensorrt.build import OPTIMISATION, WORKSPACE_BYTES, Profile, build_plan
from engines.tensorrt.log import TensorRtLog, beginning
from engines.tensorrt.parts import Machine
from engines.tensorrt.plans import PlanCache, PlanFacts

log = logging.getLogger(__name__)


class Opener:
    """Loads plans for one machine. A cached plan that does not load is built again, once.

    Raises `EngineUnavailableError` where TensorRT and the driver do not fit.
    """

    def __init__(self, machine: Machine, cache: PlanCache, progress: BuildProgress) -> None:
        self.log = TensorRtLog()
        self.found: dict[str, PlanFound] = {}
        self.build_s = 0.0
        self._machine, self._cache, self._progress = machine, cache, progress
        with beginning(self.log):
            self._runtime = trt.Runtime(self.log)

    def open(self, name: str, graph: bytes, profiles: Sequence[Profile]) -> trt.ICudaEngine:
        """Load the plan of a graph. Raises `BuildError`."""
        wanted = plan_facts(self._machine, graph, profiles)
        with self._cache.locked(wanted):
            found = self._cache.load(wanted)
            if found is not None:
                loaded = self._runtime.deserialize_cuda_engine(found)
                if loaded is not None:
                    self.found[name] = "hit"
                    return loaded
                log.warning(
                    "a plan is made again, TensorRT does not take it: %s", self.log.trouble()
                )
            self.found[name] = "miss" if found is None else "reject"
            return self._make(name, graph, profiles, wanted)

    def _make(
        self, name: str, graph: bytes, profiles: Sequence[Profile], wanted: PlanFacts
    ) -> trt.ICudaEngine:
        log.info("making the plan of the %s for %s: minutes", name, self._machine.gpu)
        began = monotonic()
        machine = machine_facts(self._machine)
        built = build_plan(
            graph,
            profiles,
            timings=self._cache.timings(machine),
            progress=self._progress,
            log=self.log,
        )
        self._cache.store(wanted, built.plan)
        self._cache.keep_timings(machine, built.timings)
        self.build_s += monotonic() - began
        loaded = self._runtime.deserialize_cuda_engine(built.plan)
        if loaded is None:
            raise BuildError(f"TensorRT does not take its own plan: {self.log.trouble()}")
        return loaded

    def close(self) -> None:
        """Free the runtime, after everything that it has loaded."""
        del self._runtime


def machine_facts(machine: Machine) -> dict[str, JsonValue]:
    """The facts that a plan depends on; the driver's version is none of them."""
    facts: dict[str, JsonValue] = asdict(machine)
    del facts["driver"]
    return {**facts, "capability": list(machine.capability)}


def plan_facts(
    machine: Machine, graph: bytes, profiles: Sequence[Profile]
) -> Mapping[str, JsonValue]:
    """Everything that a plan is built for: its key in the cache."""
    return {
        **machine_facts(machine),
        "graph_sha256": hashlib.sha256(graph).hexdigest(),
        "profiles": [
            {name: [list(shape) for shape in shapes] for name, shapes in profile.items()}
            for profile in profiles
        ],
        "workspace_bytes": WORKSPACE_BYTES,
        "optimisation": OPTIMISATION,
        "tf32": False,
    }
