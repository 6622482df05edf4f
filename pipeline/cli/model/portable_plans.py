"""`longtake engine build --for`: plans for GPUs that are not here."""

from pathlib import Path

import typer

from engines.errors import EngineUnavailableError
from engines.model.bundle import Bundle
from engines.tensorrt.parts import capabilities, capability_of, elsewhere, find_rtx, sm
from pipeline.text.terminal import Terminal


def targets_here() -> list[str]:
    """For which GPUs `build --for` makes plans on this machine, as "sm89"."""
    try:
        return [sm(capability) for capability in capabilities(find_rtx())]
    except EngineUnavailableError:
        return []


def build_elsewhere(bundle: Bundle, targets: str, folder: Path, *, half: bool) -> None:
    """Make the plans for "sm89,sm120", and say what was made and what was not checked."""
    try:
        wanted = [capability_of(name) for name in targets.split(",")]
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint="--for") from exc
    machines = [elsewhere(capability) for capability in wanted]
    from engines.tensorrt.plans import PlanCache  # only where TensorRT for RTX is
    from engines.tensorrt.portable import make_plans

    console = Terminal(stderr=True)
    cache = PlanCache(folder)
    for machine in machines:
        made = make_plans(bundle, machine, cache, half=half, progress=lambda *_: None)
        for name, size, seconds in made:
            line = f"{bundle.id}: {name} for {sm(machine.capability)}: {size:,} bytes"
            console.print(f"{line}, {seconds:.1f} s")
    console.print(
        f"The plans are in {folder}. They were built, not run: a worker on such a GPU compares them"
        " with the oracle at its start."
    )
