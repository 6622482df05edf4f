"""`python -m tests.bench.video`: prints the table; exits with 1 if a promise is not kept."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from engines.model.bundle import find_bundle, load_bundle
from pipeline.local.cluster import LocalKafka
from tests.bench.served import BenchError
from tests.bench.video.costs import Costs
from tests.bench.video.material import SIZES, Material, plaza, recorded, write_films
from tests.bench.video.table import FilmCosts, figures, promises, table
from tests.bench.video.whole_worker import WholeWorkers

GROUPS_S = (1, 2, 10)
QUICK_GROUPS_S = (1, 2)
ADVISED_GROUP_S = 2  # of these films whole workers are run


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured. Films have the length of the longest group."""

    sizes: tuple[str, ...]
    groups_s: tuple[int, ...]
    passes: int


def main(
    video: Annotated[
        Path | None, typer.Option(help="Pictures of this file, not of the sample clips.")
    ] = None,
    moving: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the sample clips that move.")
    ] = 0.25,
    size: Annotated[list[str] | None, typer.Option(help="Only this: 360p, 720p, 1080p.")] = None,
    passes: Annotated[int, typer.Option(min=1, help="How often all are measured.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="2 s of film, one pass.")] = False,  # noqa: FBT002 - a flag
    kafka: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--kafka", help="Whole workers too, for groups of 2 s.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures.")] = None,
) -> None:
    """Measure what H.264 in the log costs and saves, beside JPEGs of the same camera.

    KB in the log, and CPU time of this thread: of the camera process for a frame, of a worker for
    a frame (parsing, decoding, fitting), and of a worker that restores a stream (the units since
    its keyframe). How many times fewer bytes H.264 has depends on how much of the picture moves:
    measure your own camera with `--video`.

    Exit code 1: at 720p H.264 has more than 1/8 of JPEG's bytes, or more than 1.6 times its CPU.

    Example: `python -m tests.bench.video --video lobby.mp4 --json video.json`
    """
    console = Console()
    material = plaza(moving) if video is None else recorded(video)
    sizes = tuple(size or SIZES)
    if unknown := set(sizes) - SIZES.keys():
        raise typer.BadParameter(f"no size: {', '.join(unknown)}; sizes are {', '.join(SIZES)}")
    extent = Extent(sizes, GROUPS_S, passes) if not quick else Extent(sizes, QUICK_GROUPS_S, 1)
    try:
        with ExitStack() as stack:
            status = stack.enter_context(console.status("preparing films"))
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="longtake-bench-")))
            bundle = find_bundle("actions")
            workers = None
            if kafka:
                workers = WholeWorkers(stack.enter_context(LocalKafka()), bundle, folder)
            costs = Costs(load_bundle(bundle))
            measured = list(_measure(material, extent, costs, workers, folder, status.update))
    except BenchError as exc:
        console.print(f"bench: {exc}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from exc
    caption = (
        f"{material.words}; {float(material.rate_hz):g} frames/s. x264 medium, zerolatency, crf 23;"
        f" JPEG quality 90 of its pictures. CPU ms of a frame; restore: of a stream, mean and most."
        f" Medians of {extent.passes} on {os.cpu_count()} cores"
    )
    console.print(table(measured, caption))
    checked = promises(measured)
    for promise in checked:
        console.print(str(promise), style="" if promise.reached else "bold red", highlight=False)
    if json_file is not None:
        about = {"material": material.words, "cpus": os.cpu_count()}
        json_file.write_text(json.dumps(figures(measured, about), indent=1) + "\n")
    raise typer.Exit(0 if all(promise.reached for promise in checked) else 1)


def _measure(
    material: Material,
    extent: Extent,
    costs: Costs,
    workers: WholeWorkers | None,
    folder: Path,
    say: Callable[[str], None],
) -> Iterator[FilmCosts]:
    for size in extent.sizes:
        say(f"{size}: preparing films")
        groups = {f"{size}-{s}s": round(s * material.rate_hz) for s in extent.groups_s}
        pictures = islice(material.pictures(SIZES[size]), max(groups.values()))
        films = write_films(folder, pictures, rate_hz=material.rate_hz, groups=groups)
        for group_s, film in zip(extent.groups_s, films.values(), strict=True):
            passes, wholes = [], []
            for number in range(1, extent.passes + 1):
                say(f"{size}, groups of {group_s} s: pass {number} of {extent.passes}")
                passes.append(costs.measure(film))
                if workers is not None and group_s == ADVISED_GROUP_S:
                    wholes.append(workers.measure(film))
            yield FilmCosts(size, group_s, passes, wholes)


if __name__ == "__main__":
    typer.run(main)
