"""`longtake engine`: what runs bundles on this machine, and whether it is fit to."""

import json
import math
import os
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from engines.base import Engine, EngineName, GpuPrecision, InputArray
from engines.errors import EngineUnavailableError
from engines.load import load_engine, plan_folder
from engines.model.bundle import Bundle, find_bundle, load_bundle
from engines.model.inputs import PictureInput
from engines.model.verdicts import Verdicts
from engines.tensorrt.parts import find_machine
from pipeline.cli.commands import command_group
from pipeline.cli.model.portable_plans import build_elsewhere, targets_here
from pipeline.cli.shared.options import AsJson
from pipeline.cli.shared.output import print_facts, try_to_write, write_text
from pipeline.cli.shared.progress import a_bar_each, tasks
from pipeline.errors import SourceError
from pipeline.media.address import Address
from pipeline.media.kinds import fit_source_frame, picture_input
from pipeline.media.sources import open_source
from pipeline.text.terminal import Terminal

SAMPLE = Path(__file__).parents[2] / "samples" / "yard.mp4"
SAMPLE_SEED = 1
SIZES = (1, 2, 4, 8, 16, 32, 64)

app = command_group(
    "engine",
    about="""What runs bundles on this machine: look, make TensorRT's plans, compare and time.

What has run where: ONNX Runtime has been run, timed and killed on CPUs. TensorRT has **not yet run
on a real GPU**: its host code runs in our tests under the genuine pycuda, on doubles of the CUDA
driver and of TensorRT. Whoever has a GPU can change that with two commands, and send us the file:

`longtake engine build actions`

`longtake engine verify actions --engine tensorrt --report gpu.json`
""",
)

BundleName = Annotated[str, typer.Argument(help="A shipped bundle's name, or a path.")]
PrecisionOption = Annotated[
    GpuPrecision, typer.Option(help="Of the encoder on a GPU; the head is in float32 always.")
]
PACKAGES = (
    "longtake",
    "numpy",
    "onnxruntime",
    "tensorrt-cu13",
    "tensorrt-rtx-cu13",
    "pycuda",
    "cuda-bindings",
)


@app.command()
def inspect(as_json: AsJson = False) -> None:
    """Say which engine `auto` takes here, why, and with what.

    Example: `longtake engine inspect`
    """
    facts: dict[str, Any] = {
        "auto": "onnxruntime",
        "because": "",
        "builds_plans_for": targets_here(),
        **_versions(),
    }
    try:
        machine = find_machine()
    except EngineUnavailableError as exc:
        facts["because"] = str(exc)
    else:
        facts |= {"auto": "tensorrt", "because": "all that it needs is here", **asdict(machine)}
        facts |= {"plans": str(plan_folder())}
    if as_json:
        print_facts(facts)
        return
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        listed = ", ".join(value) if isinstance(value, list) else str(value)
        words = "not installed" if value is None else listed or "none"
        table.add_row(name.replace("_", " "), words)
    Terminal().print(table)


@app.command()
def build(
    bundle: BundleName = "actions",
    precision: PrecisionOption = "float16",
    targets: Annotated[
        str | None,
        typer.Option("--for", help="Compute capabilities, as sm89,sm120: for GPUs elsewhere."),
    ] = None,
    plans: Annotated[
        Path | None, typer.Option(help="With --for: the folder to write. [that of the cache]")
    ] = None,
) -> None:
    """Make TensorRT's plans for a bundle, so that no worker has to wait for them.

    They are kept under LONGTAKE_CACHE, for this GPU and these versions. Takes minutes; what is
    there already is not made again.

    With `--for`, TensorRT for RTX makes plans for other GPUs, on any machine. Copy the folder to
    them, and start workers with `--plans`.

    Example: `longtake engine build actions`

    Example: `longtake engine build actions --for sm89,sm120 --plans build/plans`
    """
    loaded = load_bundle(find_bundle(bundle))
    if targets is not None:
        build_elsewhere(loaded, targets, plans or plan_folder(), half=precision == "float16")
        return
    if plans is not None:
        raise typer.BadParameter("it needs --for: plans for this GPU are kept in the cache")
    with tasks(Terminal(stderr=True)) as bars:
        engine = load_engine(
            "tensorrt",
            loaded,
            threads=1,
            verdicts=Verdicts.of(os.environ),
            gpu_precision=precision,
            progress=a_bar_each(bars),
        )
    facts = engine.facts
    engine.close()
    if facts is not None:
        found = ", ".join(f"{graph}: {how}" for graph, how in facts.plans.items())
        line = f"{loaded.id}: {found}; built in {facts.build_s:.0f} s, in {plan_folder()}"
        Terminal(stderr=True).print(line)


@app.command()
def verify(
    bundle: BundleName = "actions",
    engine: Annotated[EngineName, typer.Option(help="Which one is on trial.")] = "auto",
    precision: PrecisionOption = "float16",
    clip: Annotated[
        str | None, typer.Option(help="A video to run it on. [a sample; letters are drawn]")
    ] = None,
    frames: Annotated[int, typer.Option(min=10, max=10_000, help="So many of it.")] = 300,
    plans: Annotated[Path | None, typer.Option(help="A folder of `engine build --for`.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write all of it to a JSON file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hold an engine against ONNX Runtime on a clip, alone and in batches; then time it.

    For a bundle that takes letters, the records are drawn at random.

    Exit code 31 says that it is too far away to serve; the report is written all the same.

    Example: `longtake engine verify actions --engine tensorrt --report gpu.json`
    """
    from engines.checks.trial import STREAMS, hold, pace  # they bring the oracle along
    from engines.checks.verify import promised

    if report is not None:
        try_to_write(report)  # now, not when everything is measured
    loaded = load_bundle(find_bundle(bundle))
    seen = _inputs(clip, loaded, frames)
    console = Terminal(stderr=True)
    with tasks(console) as bars:
        trying = load_engine(
            engine,
            loaded,
            threads=2,
            verdicts=Verdicts.of(os.environ),
            gpu_precision=precision,
            plans=plans,
            progress=a_bar_each(bars),
        )
    with closing(trying):
        wanted = promised(loaded, precision if trying.name == "tensorrt" else None)
        with tasks(console) as progress:
            bar = progress.add_task("comparing", total=len(seen) * (2 * STREAMS + 1))
            trial = hold(trying, loaded, seen, went=lambda n: progress.advance(bar, n))
        rates = {str(size): round(rate, 1) for size, rate in pace(trying, seen, SIZES).items()}
        facts = {
            "bundle": loaded.id,
            "engine": trying.name,
            "frames": trial.inputs,
            "largest_difference": {
                "alone": _finite(trial.alone),
                f"{STREAMS}_streams": _finite(trial.together),
            },
            "allowed": wanted.tolerance,
            "frames_per_second": rates,
            **_device(trying, precision),
            "versions": _versions(),
        }
    if report is not None:
        write_text(report, json.dumps(facts, indent=1) + "\n")
    if as_json:
        print_facts(facts)
    else:
        _show(facts)
    trial.require(wanted, engine=trying.name, bundle=loaded.id)


def _finite(difference: float) -> float | None:
    """JSON knows no infinity: a difference from what is not a number is null."""
    return difference if math.isfinite(difference) else None


def _device(engine: Engine, precision: GpuPrecision) -> dict[str, Any]:
    if engine.facts is None:
        return {}
    facts = asdict(engine.facts)
    return {"machine": asdict(find_machine()), "precision": precision, "device": facts}


def _inputs(clip: str | None, bundle: Bundle, count: int) -> InputArray:
    """Read the first frames of a clip as the bundle wants them; without one, draw: (T, *shape)."""
    spec = bundle.input
    if clip is None and not isinstance(spec, PictureInput):
        return spec.samples(count, np.random.default_rng(SAMPLE_SEED))
    wanted = picture_input(bundle, what="engine verify --clip")
    address = Address.of(clip or str(SAMPLE), os.environ)
    source = open_source(address)
    inputs = [fit_source_frame(frame, wanted) for frame in islice(source, count)]
    source.close()
    if not inputs:
        raise SourceError(f"{address.shown}: there is no frame in it")
    return np.stack(inputs)


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _show(facts: dict[str, Any]) -> None:
    table = Table(show_header=False, box=None)
    alone, together = (
        "infinite" if apart is None else f"{apart:.1e}"
        for apart in facts["largest_difference"].values()
    )
    table.add_row("engine", facts["engine"])
    table.add_row(
        "largest difference of a score",
        f"{alone} alone, {together} in batches; allowed {facts['allowed']:.0e}",
    )
    for size, rate in facts["frames_per_second"].items():
        table.add_row(f"frames a second, batch {size}", f"{rate:,.0f}")
    if "device" in facts:
        device = facts["device"]
        graphs = f"{device['captured']} captured"
        table.add_row("CUDA graphs", device["not_captured"] or graphs)
        table.add_row("GPU", facts["machine"]["gpu"])
    Terminal().print(table)
