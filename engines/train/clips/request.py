"""The options of a training run, and the encoder that it begins with."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pydantic import JsonValue

from engines.train.clips.footage import TrainingFootage
from engines.train.encoders.article import UNITS, ArticleEncoder
from engines.train.encoders.backbones import Backbone, BackboneError, make_backbone
from engines.train.heads import HeadName
from engines.train.pictures import Input

# More threads gain little on batches of 32. The rounding of sums depends on how many threads share
# them, so the number is one of the settings: a checkpoint with another number is refused.
MOST_THREADS = 4
SMALLEST_SEED = 22  # pixels a side: with fewer, no pixel is left after three poolings
PACKAGED = frozenset({"efficientnet_lite0"})  # their weights come with a package


@dataclass(frozen=True, slots=True)
class Plan:
    """All options that the weights depend on beside the footage, and the work folder.

    `side` is the height and width of the pictures, None for the size that the backbone is made for.
    """

    backbone: str
    weights: Path | None
    head: HeadName
    side: int | None
    rate_hz: float
    epochs: int
    seed: int
    work: Path

    @property
    def pretrained(self) -> bool:
        """Whether the encoder comes with weights."""
        return self.weights is not None or self.backbone in PACKAGED


def settings_of(footage: TrainingFootage, plan: Plan) -> dict[str, JsonValue]:
    """Return all that the weights depend on, without the head: its name is in its file's name."""
    return {
        "data": footage.digest,
        "backbone": plan.backbone,
        "weights": _digest(plan.weights),
        "side": plan.side,
        "rate_hz": plan.rate_hz,
        "epochs": plan.epochs,
        "seed": plan.seed,
        "threads": threads(),
        "torch": str(torch.__version__),  # not a plain string, which a checkpoint needs
    }


def threads() -> int:
    """Limit torch to `MOST_THREADS` threads, and return how many it uses."""
    torch.set_num_threads(min(MOST_THREADS, torch.get_num_threads()))
    return int(torch.get_num_threads())


def fit_backbone(plan: Plan) -> Backbone:
    """Make the plan's encoder, for pictures of its size and rate. Raises `BackboneError`."""
    torch.manual_seed(plan.seed)
    if plan.backbone == "seed" and plan.side is not None:
        return _small_seed(plan, plan.side)
    made = make_backbone(plan.backbone, weights=plan.weights)
    if plan.side is not None:
        made = replace(made, input=replace(made.input, height=plan.side, width=plan.side))
        _check_size(plan.backbone, made)
    return replace(made, input=replace(made.input, rate_hz=plan.rate_hz))


def _small_seed(plan: Plan, side: int) -> Backbone:
    if plan.weights is not None:
        raise BackboneError("weights of `seed` are for 224 x 224; leave --size away")
    if side < SMALLEST_SEED:
        raise BackboneError(f"seed takes pictures from {SMALLEST_SEED} x {SMALLEST_SEED} on")
    return Backbone(ArticleEncoder(side), Input(side, side, rate_hz=plan.rate_hz), UNITS)


def _check_size(name: str, backbone: Backbone) -> None:
    shape = backbone.input
    frames = torch.zeros(2, shape.height, shape.width, 3, dtype=torch.uint8)
    try:
        with torch.inference_mode():
            found = tuple(backbone.encoder.eval()(shape.normalise(frames)).shape)
    except (RuntimeError, AssertionError) as exc:  # timm's transformers assert their size
        raise BackboneError(_WRONG.format(name=name, side=shape.height, why=exc)) from exc
    if found != (2, backbone.features):
        why = f"it gives {found} for two"
        raise BackboneError(_WRONG.format(name=name, side=shape.height, why=why))


_WRONG = "{name} takes no pictures of {side} x {side} ({why}); leave --size away"


def _digest(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as exc:
        raise BackboneError(f"weights {path} cannot be read: {exc.strerror}") from exc
