"""Plans for GPUs that are not here: TensorRT for RTX builds them on any machine."""

from collections.abc import Iterator
from time import monotonic

from engines.base import BuildProgress
from engines.errors import EngineUnavailableError
from engines.model.bundle import Bundle
from engines.tensorrt.graphs.orders import encoder_order, step_order
from engines.tensorrt.log import TensorRtLog
from engines.tensorrt.opening import make_plan, plan_facts
from engines.tensorrt.parts import Machine
from engines.tensorrt.plans import PlanCache


def make_plans(
    bundle: Bundle, machine: Machine, cache: PlanCache, *, half: bool, progress: BuildProgress
) -> Iterator[tuple[str, int, float]]:
    """Build what is not in `cache` yet; yields each graph's name, bytes of its plan, seconds.

    `machine` is one of `parts.elsewhere`. Raises `BuildError`, `EngineUnavailableError`.
    """
    log = TensorRtLog()
    for order in (encoder_order(bundle, half=half), step_order(bundle)):
        began = monotonic()
        wanted = plan_facts(machine, order)
        with cache.locked(wanted):
            plan = cache.load(wanted)
            if plan is None:
                plan = make_plan(machine, order, cache, progress, log)
                if cache.load(wanted) is None:
                    raise EngineUnavailableError(
                        f"the plan of the {order.name} cannot be kept in {cache.folder}: the log"
                        " says why"
                    )
        yield order.name, len(plan), monotonic() - began
