"""One training run: labelled videos in, a bundle with its model card out."""

import logging
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import JsonValue
from rich.progress import Progress

from engines.load import load_engine
from engines.model.bundle import Bundle, load_bundle
from engines.train import export
from engines.train.actions import recipe
from engines.train.checkpoint import CheckpointError
from engines.train.clips.footage import FailureError, StageReport
from engines.train.clips.recipes import RECIPES, RecipeName
from engines.train.clips.request import Plan, settings_of
from engines.train.encoders.backbones import BackboneError
from engines.train.letters import letter_recipes
from engines.train.letters.letter_recipes import LetterRecipeName
from engines.train.letters.packages import PackageError
from engines.train.people.actors import PackError
from pipeline.errors import TrainingError
from pipeline.media.sources import open_source, read_labels
from pipeline.offline.footage.dataset import open_footage
from pipeline.offline.footage.video import Footage
from pipeline.offline.run import SourceReport, predict_sources, serve_files
from pipeline.offline.scoring import Score

SAMPLES = Path(__file__).parents[1] / "samples"

LIBRARIES = ("longtake", "torch", "timm", "torchvision", "onnx", "onnxruntime", "numpy", "av")


@dataclass(frozen=True, slots=True)
class Job:
    """The data, recipe and output folder of a training run. `validation`: a share of the videos."""

    data: Path
    out: Path
    recipe: RecipeName
    plan: Plan
    validation: float


def train_bundle(job: Job, report: StageReport) -> Bundle:
    """Train and write a bundle. If the same job has already written it, return that bundle.

    Raises `FootageError` and `TrainingError`, and `EngineError` if the bundle fails its check.
    """
    with _translated():
        footage = open_footage(job.data, validation=job.validation, seed=job.plan.seed)
        for warning in footage.warnings:
            report.say(f"warning: {warning}")
        settings = settings_of(footage, job.plan) | {"recipe": job.recipe, "head": job.plan.head}
        done = _already(job.out, settings)
        if done is not None:
            report.say(f"{job.out} holds this very bundle already; nothing is left to do")
            return done
        report.say(_introduction(footage))
        trained = RECIPES[job.recipe](footage, job.plan, report)
        report.say("exporting, and comparing with PyTorch over 1,000 frames")
        _silence_exporters()
        return export(
            trained.encoder,
            trained.head,
            labels=footage.labels,
            input=trained.input,
            path=job.out,
            name=_name(job.out),
            training={
                "data": footage.name,
                **trained.facts,
                "command": command(job),
                "date": datetime.now(UTC).date().isoformat(),
                "git_revision": _git_revision(),
                "versions": dict(_versions()),
                "settings": settings,
            },
        )


def train_actions(out: Path, work: Path, seed: int, progress: Progress) -> Bundle:
    """Train and write the demo's bundle. Its model card has its accuracy on the sample clips.

    If the same seed's bundle exists, return it. Raises `TrainingError`, and `EngineError` if the
    bundle fails its check.
    """
    if (out / "model.json").exists():
        return _of_command(out, recipe.command(seed))
    with _translated():
        _silence_exporters()
        made = recipe.make_bundle(recipe.Run(work, seed=seed, effort=1.0, progress=progress))
    accuracies = score_clips(made.bundle, SAMPLES)
    made.write(out, git_revision=_git_revision(), sample_accuracy=dict(accuracies))
    return load_bundle(out)


def train_letter_bundle(
    name: LetterRecipeName, data: Path, out: Path, *, seed: int, report: Callable[[str], None]
) -> Bundle:
    """Train and write the bundle of a recipe of letters, from the packages in the folder `data`.

    If the same seed's bundle exists, return it. Raises `TrainingError`, and `EngineError` if the
    bundle fails its check.
    """
    if (out / "model.json").exists():
        return _of_command(out, letter_recipes.command(name, seed))
    with _translated():
        _silence_exporters()
        return letter_recipes.train_letters(name, data, out, seed=seed, report=report)


def _of_command(out: Path, command: str) -> Bundle:
    """Return the bundle in a folder if this command has made it; raise if another has."""
    found = load_bundle(out)
    if found.training.get("command") == command:
        return found
    raise TrainingError(
        f"{out} holds the bundle {found.id}, which `{command}` has not made;"
        " name another --out, or delete this one"
    )


def score_clips(bundle: Bundle, folder: Path) -> dict[str, float | None]:
    """Predict each clip of a folder as `longtake run` does. Returns accuracies against its .csv."""
    clips = sorted(folder.glob("*.mp4"))
    scores = [Score(read_labels(clip.with_suffix(".csv"))) for clip in clips]
    for outcome in predict_sources(
        [open_source(clip) for clip in clips],
        model=serve_files(bundle, load_engine("onnxruntime", bundle, threads=2)),
        reports=[SourceReport(clip.stem) for clip in clips],
    ):
        if outcome.answer is not None:
            scores[outcome.source].enter(outcome.frame, bundle.labels[outcome.answer.label])
    return {
        clip.stem: score.accuracy if score.accuracy is None else round(score.accuracy, 4)
        for clip, score in zip(clips, scores, strict=True)
    }


def command(job: Job) -> str:
    """Return the command line of a job, without the paths of this machine."""
    plan = job.plan
    words = ["longtake train", job.data.resolve().name, f"--out {job.out.resolve().name}"]
    words.append(f"--recipe {job.recipe}")
    if job.recipe != "article":
        words.append(f"--backbone {plan.backbone} --head {plan.head}")
    if plan.weights is not None:
        words.append(f"--weights {plan.weights.name}")
    if plan.side is not None:
        words.append(f"--size {plan.side}")
    words.append(f"--rate-hz {plan.rate_hz:g} --epochs {plan.epochs} --seed {plan.seed}")
    words.append(f"--validation {job.validation:g}")
    return " ".join(words)


def _already(out: Path, settings: dict[str, JsonValue]) -> Bundle | None:
    """Return the existing bundle if it was trained with these settings; raise if with others."""
    if not (out / "model.json").exists():
        return None
    bundle = load_bundle(out)
    theirs = bundle.training.get("settings")
    if not isinstance(theirs, dict):
        raise TrainingError(
            f"{out} holds the bundle {bundle.id}, not one of yours to train; name another --out"
        )
    other = [
        f"{name} {theirs.get(name)!r} (now {settings[name]!r})"
        for name in settings
        if theirs.get(name) != settings[name]
    ]
    if other:
        raise TrainingError(
            f"{out} holds the bundle {bundle.id}, trained with {', '.join(other)};"
            " name another --out, or delete this one"
        )
    return bundle


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (BackboneError, CheckpointError, FailureError, PackError, PackageError) as exc:
        raise TrainingError(str(exc)) from exc


def _silence_exporters() -> None:
    for name in ("onnx_ir", "onnxscript", "torch.onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _introduction(footage: Footage) -> str:
    held_back = sum(video.validation for video in footage.videos)
    return (
        f"{len(footage.videos)} videos of {len(footage.labels)} classes"
        f" ({', '.join(footage.labels)}): {len(footage.videos) - held_back} to train on,"
        f" {held_back} to test on"
    )


def _name(out: Path) -> str:
    """Return the bundle's name: the folder's, with only the characters that a name may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", out.resolve().name).lstrip(".")[:64] or "model"


def _git_revision() -> str | None:
    """Return the commit of the current folder, marked if there are changes; None without git."""
    git = shutil.which("git")
    if git is None:
        return None
    words = [git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    described = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    return described.stdout.strip() or None


def _versions() -> Iterator[tuple[str, JsonValue]]:
    for library in LIBRARIES:
        try:
            yield library, version(library)
        except PackageNotFoundError:
            yield library, None
