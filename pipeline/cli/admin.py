"""The commands that look after topics and bundles."""

import json
import math
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engines.load import load_engine
from engines.model.bundle import find_bundle, load_bundle
from engines.model.lint import complaints
from pipeline.cli.options import AsJson, Bootstrap, ConfigFile, Group
from pipeline.config import load_config

topics_app = typer.Typer(
    help="Create and check the topics of a group.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
bundle_app = typer.Typer(
    help="Check model bundles, and make the benchmark's.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@bundle_app.command(name="check")
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
    load_engine("onnxruntime", loaded, threads=1).close()
    state_bytes = sum(math.prod(s.shape) * np.dtype(s.dtype).itemsize for s in loaded.state)
    facts: dict[str, Any] = {
        "bundle": loaded.id,
        "digest": loaded.digest,
        "labels": list(loaded.labels),
        "input": f"{loaded.input.height}x{loaded.input.width}",
        "rate_hz": loaded.input.rate_hz,
        "state_bytes_per_stream": state_bytes,
        "verified_s": round(time.monotonic() - began_s, 2),
        "refused_by_tensorrt": complaints(loaded),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    table = Table(show_header=False, box=None)
    refused = facts.pop("refused_by_tensorrt")
    for name, value in facts.items():
        words = "; ".join(value) if isinstance(value, list) else str(value)
        table.add_row(name.replace("_", " "), escape(words))
    fit = f"no, because {'; '.join(refused)}" if refused else "yes, as far as we know without it"
    table.add_row("fit for TensorRT", escape(fit))
    Console().print(table)


@bundle_app.command()
def seed(
    path: Annotated[Path, typer.Argument(help="The folder to write.")] = Path("bundles/seed"),
) -> None:
    """Make the article's own network as a bundle, with random weights: the benchmark's workload.

    Example: `longtake bundle seed ./bundles/seed`
    """
    from engines.model.seed import write_seed

    Console(stderr=True).print(f"wrote {load_bundle(write_seed(path)).id} to {path}")


@topics_app.command()
def create(
    bootstrap: Bootstrap = None,
    group: Group = None,
    partitions: Annotated[int, typer.Option(min=1, max=10_000, help="Of each topic.")] = 4,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Create the topics that are missing: frames, predictions, dead letters, the group's state.

    Example: `longtake topics create --group actions --partitions 8`
    """
    _topics(bootstrap, group, config, partitions=partitions, as_json=as_json)


@topics_app.command()
def check(
    bootstrap: Bootstrap = None,
    group: Group = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Look at the topics of a group; exit code 11 or 12 says that something is wrong with them.

    Example: `longtake topics check --group actions --json`
    """
    _topics(bootstrap, group, config, partitions=None, as_json=as_json)


def _topics(
    bootstrap: str | None,
    group: str | None,
    config: Path | None,
    *,
    partitions: int | None,
    as_json: bool,
) -> None:
    from pipeline.broker.kafka.topics import TopicAdmin

    settings = load_config(config, {"bootstrap": bootstrap, "group": group})
    admin = TopicAdmin(settings.connection, settings.topics)
    reports = admin.check() if partitions is None else admin.create(partitions)
    if as_json:
        shown = ("name", "partitions", "created", "problem", "danger")
        rows = [{name: getattr(report, name) for name in shown} for report in reports]
        typer.echo(json.dumps({"topics": rows}))
    else:
        table = Table("topic", "for", "partitions", "")
        for r in reports:
            note = r.problem or r.danger or ("created" if r.created else "ok")
            table.add_row(r.name, r.role.replace("_", " "), str(r.partitions), note)
        Console().print(table)
    admin.require()
