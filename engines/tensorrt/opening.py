"""Loads the plan of a graph: from the cache, or built."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from time import monotonic

import tensorrt as trt
from pydantic import JsonValue

from engines.base import BuildProgress, PlanFound
from engines.errors import BuildError
from engines.tensorrt.build import OPTIMISATION, WORKSPACE_BYTES, build_plan
from engines.tensorrt.flavour import is_rtx
from engines.tensorrt.graphs.orders import Order
from engines.tensorrt.log import TensorRtLog, beginning
from engines.tensorrt.parts import Machine
from engines.tensorrt.plans import GivenPlans, PlanCache, PlanFacts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """A loaded plan. `compiled`: what TensorRT for RTX had compiled of it before; `keep` keeps."""

    plan: trt.ICudaEngine
    compiled: bytes
    keep: Callable[[bytes], None]


class Opener:
    """Loads plans for one machine. A cached plan that does not load is built again, once.

    Plans that were `given`, made elsewhere, come first. Raises `EngineUnavailableError` where
    TensorRT and the driver do not fit.
    """

    def __init__(
        self,
        machine: Machine,
        cache: PlanCache,
        progress: BuildProgress,
        *,
        given: GivenPlans | None = None,
    ) -> None:
        self.log = TensorRtLog()
        self.found: dict[str, PlanFound] = {}
        self.build_s = 0.0
        self._machine, self._cache, self._progress, self._given = machine, cache, progress, given
        with beginning(self.log):
            self._runtime = trt.Runtime(self.log)

    def open(self, order: Order) -> Opened:
        """Load the plan of a graph. Raises `BuildError`."""
        wanted = plan_facts(self._machine, order)
        plan = self._load(self._given, wanted) if self._given else None
        if plan is None:
            with self._cache.locked(wanted):
                plan = self._cached(order, wanted)
        else:
            self.found[order.name] = "hit"

        def keep(compiled: bytes) -> None:
            if compiled:
                self._cache.keep_compiled(wanted, compiled)

        return Opened(plan, self._cache.compiled(wanted) if is_rtx() else b"", keep)

    def _cached(self, order: Order, wanted: PlanFacts) -> trt.ICudaEngine:
        found = self._cache.load(wanted)
        loaded = None if found is None else self._deserialised(found)
        if loaded is not None:
            self.found[order.name] = "hit"
            return loaded
        self.found[order.name] = "miss" if found is None else "reject"
        return self._make(order, wanted)

    def _load(self, given: GivenPlans, wanted: PlanFacts) -> trt.ICudaEngine | None:
        found = given.load(wanted)
        return None if found is None else self._deserialised(found)

    def _deserialised(self, plan: bytes) -> trt.ICudaEngine | None:
        loaded = self._runtime.deserialize_cuda_engine(plan)
        if loaded is None:
            log.warning("a plan is made again, TensorRT does not take it: %s", self.log.trouble())
        return loaded

    def _make(self, order: Order, wanted: PlanFacts) -> trt.ICudaEngine:
        log.info("making the plan of the %s for %s: minutes", order.name, self._machine.gpu)
        began = monotonic()
        plan = make_plan(self._machine, order, self._cache, self._progress, self.log)
        self.build_s += monotonic() - began
        loaded = self._runtime.deserialize_cuda_engine(plan)
        if loaded is None:
            raise BuildError(f"TensorRT does not take its own plan: {self.log.trouble()}")
        return loaded

    def close(self) -> None:
        """Free the runtime, after everything that it has loaded."""
        del self._runtime


def make_plan(
    machine: Machine, order: Order, cache: PlanCache, progress: BuildProgress, said: TensorRtLog
) -> bytes:
    """Build the plan of a graph and keep it. Raises `BuildError`, `EngineUnavailableError`."""
    facts = machine_facts(machine)
    built = build_plan(
        order.graph,
        order.profiles,
        timings=cache.timings(facts),
        progress=progress,
        log=said,
        capability=machine.capability,
    )
    cache.store(plan_facts(machine, order), built.plan)
    if built.timings:
        cache.keep_timings(facts, built.timings)
    return built.plan


def machine_facts(machine: Machine) -> dict[str, JsonValue]:
    """The facts that a plan depends on; the driver's version is none of them.

    A plan of TensorRT for RTX depends on the compute capability alone.
    """
    facts: dict[str, JsonValue] = asdict(machine)
    capability: JsonValue = list(machine.capability)
    if machine.library == "tensorrt_rtx":
        kept = {name: facts[name] for name in ("library", "tensorrt", "parser")}
        return {**kept, "capability": capability}
    del facts["driver"], facts["library"]
    return {**facts, "capability": capability}


def plan_facts(machine: Machine, order: Order) -> PlanFacts:
    """Everything that a plan is built for: its key in the cache."""
    return {
        **machine_facts(machine),
        "graph_sha256": hashlib.sha256(order.graph).hexdigest(),
        "profiles": [
            {name: [list(shape) for shape in shapes] for name, shapes in profile.items()}
            for profile in order.profiles
        ],
        "workspace_bytes": WORKSPACE_BYTES,
        "optimisation": OPTIMISATION,
        "tf32": False,
    }
