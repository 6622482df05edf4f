"""`longtake bundle`: check model bundles, and make the benchmark's."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from engines.checks.bounded import check_in_child
from engines.model.bundle import find_bundle, load_bundle
from pipeline.cli.commands import command_group
from pipeline.cli.shared.options import AsJson
from pipeline.cli.shared.output import print_facts
from pipeline.media.kinds import shown_size
from pipeline.text.terminal import Terminal

app = command_group("bundle", about="Check model bundles, and make the benchmark's.")


@app.command(name="check")
def check_bundle(
    bundle: Annotated[str, typer.Argument(help="A shipped bundle's name, or a path.")] = "actions",
    as_json: AsJson = False,
) -> None:
    """Load a bundle, validate every file and field, and compare the engines on it.

    Also warns of what TensorRT would refuse, as far as that can be told without it.

    Example: `longtake bundle check ./my-bundle`
    """
    loaded = load_bundle(find_bundle(bundle))
    began_s = time.monotonic()
    refused_by_tensorrt = check_in_child(loaded, threads=1)
    state_bytes = sum(spec.row_bytes for spec in loaded.state)
    facts: dict[str, Any] = {
        "bundle": loaded.id,
        "digest": loaded.digest,
        "labels": list(loaded.labels),
        "input": shown_size(loaded.input),
        "rate_hz": loaded.input.rate_hz,
        "state_bytes_per_stream": state_bytes,
        "verified_s": round(time.monotonic() - began_s, 2),
        "refused_by_tensorrt": refused_by_tensorrt,
    }
    if as_json:
        print_facts(facts)
        return
    table = Table(show_header=False, box=None)
    refused = facts.pop("refused_by_tensorrt")
    for name, value in facts.items():
        words = "; ".join(value) if isinstance(value, list) else str(value)
        table.add_row(name.replace("_", " "), words)
    fit = f"no, because {'; '.join(refused)}" if refused else "yes, as far as we know without it"
    table.add_row("fit for TensorRT", fit)
    Terminal().print(table)


@app.command()
def seed(
    path: Annotated[Path, typer.Argument(help="The folder to write.")] = Path("bundles/seed"),
) -> None:
    """Make the article's own network as a bundle, with random weights: the benchmark's workload.

    Example: `longtake bundle seed ./bundles/seed`
    """
    from engines.model.seed import write_seed

    Terminal(stderr=True).say(f"wrote {load_bundle(write_seed(path)).id} to {path}")
