"""The demo's training: from the pack of actors to a measured bundle, stage by stage.

Each stage has a checkpoint in a work folder: a run that was killed goes on from there, and ends
with the same weights.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from rich.progress import Progress

from engines.model.bundle import Bundle, write_bundle
from engines.model.description import Skeleton
from engines.train.actions.encoder_training import joint_error, train_encoder
from engines.train.actions.head_training import (
    HeadStage,
    Skeletons,
    found_skeletons,
    join,
    train_action_head,
    true_skeletons,
)
from engines.train.actions.polish import polish
from engines.train.actions.steady import steadied
from engines.train.checkpoint import TrainingCheckpoint
from engines.train.encoders.joint_networks import (
    LIMBS,
    SIZE,
    Encoder,
    SkeletonEncoder,
    SkeletonHead,
    pictures,
    to_features,
)
from engines.train.evaluation.evaluate import card
from engines.train.exporting import PROOF_INPUTS, Model, describe, prove, to_bundle
from engines.train.heads import Head, make_head
from engines.train.people.actors import PACK, Actors, Split, load_actors
from engines.train.people.scenes import invented_cast
from engines.train.people.skeleton import JOINT_NAMES, JOINT_PAIRS
from engines.train.people.streams import ACTIONS, Take, random_take

ENCODER_FRAMES = 1_200_000  # the error still falls at the end, but slowly
POLISH_FRAMES = 400_000
LENGTH = 160  # frames of a training stream
FEWEST_STREAMS = 48  # even in a shortened training
POSE_STREAMS, SEEN_STREAMS, INVENTED_STREAMS = 8000, 1600, 120
# True joints first: the head learns the actions before it learns the encoder's errors. The last
# stage adds noise to the joints found on training people: on new people the encoder is less exact.
ON_POSES = HeadStage(frames=12_000_000, learning_rate=3e-3, noise=0.03, bias=0.03, seed=1)
ON_PICTURES = HeadStage(frames=8_000_000, learning_rate=2e-3, noise=0.01, bias=0.0, seed=2)
AS_NEW = HeadStage(frames=12_000_000, learning_rate=2e-3, noise=0.03, bias=0.03, seed=3)

STAGES = ("encoder", "poses", "pictures", "polish", "polished")


@dataclass(frozen=True, slots=True)
class Run:
    """One training of the demo's networks. `effort` shortens all of it, for tests."""

    work: Path
    seed: int
    effort: float
    progress: Progress
    actors: Actors = field(default_factory=load_actors)

    def checkpoint(self, stage: str) -> TrainingCheckpoint:
        """Return the checkpoint of a stage."""
        settings: dict[str, JsonValue] = {"seed": self.seed, "effort": self.effort}
        return TrainingCheckpoint(self.work / f"{stage}.pt", settings | {"stage": stage})

    def cpu_minutes(self) -> float:
        """Return the processor time of all stages."""
        checkpoints = [self.checkpoint(stage) for stage in STAGES]
        for checkpoint in checkpoints:
            checkpoint.restore()
        return sum(checkpoint.cpu_s for checkpoint in checkpoints) / 60

    def frames(self, usual: int) -> int:
        """Return how many frames this run uses where a full one uses `usual`."""
        return int(usual * self.effort)


@dataclass(frozen=True, slots=True)
class Made:
    """The bundle of ten actions, with the facts about its training for its card."""

    bundle: Bundle
    model: Model
    training: dict[str, JsonValue]

    def write(self, out: Path, **further: JsonValue) -> None:
        """Write the bundle into a folder, with `further` facts in its card."""
        described = describe(self.model, self.training | further)
        write_bundle(out, described, encoder=self.bundle.encoder, head=self.bundle.head)
        (out / "ATTRIBUTION.txt").write_text(attribution())


def train(run: Run) -> tuple[Encoder, Head]:
    """Train an encoder and its head: an hour on two cores with AVX512-BF16."""
    torch.set_num_threads(2)
    encoder = train_encoder(
        run.actors,
        frames=run.frames(ENCODER_FRAMES),
        seed=run.seed,
        checkpoint=run.checkpoint("encoder"),
        progress=run.progress,
    )

    def seen() -> Skeletons:  # rendered only if a stage is not done yet
        return find_skeletons(run, encoder, _training_takes(run, 2, SEEN_STREAMS))

    torch.manual_seed(run.seed)
    # On true joints with noise a GRU of 128 beat an LSTM of 128 by 2 points (4 million frames each)
    head = SkeletonHead(make_head("gru", len(ACTIONS), features=LIMBS))
    _learn(
        run,
        head,
        "poses",
        lambda: true_skeletons(_training_takes(run, 1, POSE_STREAMS)),
        [ON_POSES],
    )
    _learn(run, head, "pictures", seen, [ON_PICTURES, AS_NEW])
    polish(
        encoder,
        head,
        run.actors,
        frames=run.frames(POLISH_FRAMES),
        seed=run.seed,
        checkpoint=run.checkpoint("polish"),
        progress=run.progress,
    )
    _learn(run, head, "polished", seen, [AS_NEW])
    return encoder, head


def make_bundle(run: Run) -> Made:
    """Train, export, prove and measure the bundle of ten actions."""
    encoder, head = train(run)
    new = find_skeletons(run, encoder, invented_takes(run))
    features = to_features(new.joints, new.spreads).transpose(0, 1)  # (T, N, F)
    steady = steadied(head, features, new.labels.T)
    model = to_model(encoder, steady)
    bundle = to_bundle(model)
    (stream,) = draw_takes(
        run.actors, [1001], people="test", clips="test", count=1, length=PROOF_INPUTS
    )
    deviation = prove(bundle, model, stream.pixels(run.actors, size=SIZE))
    training = _about(run) | {
        "parameters": sum(p.numel() for m in (encoder, head) for p in m.parameters()),
        "hysteresis": {"margin": steady.margin, "sharpness": steady.sharpness},
        "largest_deviation_from_torch": float(f"{deviation:.1e}"),
        "joint_error_px": {
            f"{people}_people": round(joint_error(encoder, run.actors, people=people), 2)
            for people in _SPLITS
        },
    }
    found = card(bundle, run.progress)
    del found["bundle"], found["labels"]  # the bundle's id changes when its card does
    return Made(bundle, model, training | {"evaluation": found})


def to_model(encoder: Encoder, head: Head) -> Model:
    """Describe the trained networks for the export: input, labels, skeleton."""
    return Model(
        SkeletonEncoder(encoder),
        head,
        pictures(),
        ACTIONS,
        name="actions",
        skeleton=Skeleton(joints=JOINT_NAMES, bones=JOINT_PAIRS),
    )


def command(seed: int) -> str:
    """The command that makes the bundle. It identifies a training."""
    return f"longtake train --recipe actions --out actions --seed {seed}"


def attribution() -> str:
    """The authors of the data, and so of the pictures and the weights."""
    return (PACK.parent / "ATTRIBUTION.txt").read_text()


_SPLITS: tuple[Split, ...] = ("train", "test")


def find_skeletons(run: Run, encoder: Encoder, takes: list[Take]) -> Skeletons:
    """Render takes, and run the encoder over them."""
    frames = run.progress.track(rendered(run.actors, takes), len(takes), description="watching")
    return join([found_skeletons(encoder, t, f) for t, f in zip(takes, frames, strict=True)])


def draw_takes(
    actors: Actors,
    seed: list[int],
    *,
    people: Split,
    clips: Split,
    count: int,
    length: int = LENGTH,
) -> list[Take]:
    """Draw `count` takes, each from a seed of its own."""
    rngs = (np.random.default_rng([*seed, i]) for i in range(count))
    return [random_take(actors, rng, people=people, clips=clips, length=length) for rng in rngs]


def rendered(actors: Actors, takes: list[Take]) -> Iterator[NDArray[np.uint8]]:
    """Render the pictures (T, H, W, 3) of each take, in order, two takes at a time."""
    with ThreadPoolExecutor(2) as pool:
        for first in range(0, len(takes), 8):
            some = takes[first : first + 8]
            yield from pool.map(lambda take: take.pixels(actors, size=SIZE), some)


def invented_takes(run: Run) -> list[Take]:
    """Draw new takes of the training's motions, with invented people.

    The encoder's errors on them are larger than on training people, and real. Added noise would
    have made the errors two thirds larger, and of a kind that no encoder makes.
    """
    takes = _training_takes(run, 5, INVENTED_STREAMS)
    rngs = (np.random.default_rng([run.seed, 6, i]) for i in range(len(takes)))
    casts = [invented_cast(run.actors, rng, "train") for rng in rngs]
    return [replace(take, cast=cast) for take, cast in zip(takes, casts, strict=True)]


def _training_takes(run: Run, seed: int, usual: int) -> list[Take]:
    count = max(FEWEST_STREAMS, run.frames(usual))
    return draw_takes(run.actors, [run.seed, seed], people="train", clips="train", count=count)


def _learn(
    run: Run, head: Head, stage: str, streams: Callable[[], Skeletons], rounds: list[HeadStage]
) -> None:
    """Train the head for some stages, or restore it if that was done before."""
    checkpoint = run.checkpoint(stage)
    if checkpoint.restore(head=head):
        return
    seen = streams()
    for each in rounds:
        frames = run.frames(each.frames)
        train_action_head(head, seen, replace(each, frames=frames), run.progress)
    checkpoint.save(1, head=head)


def _about(run: Run) -> dict[str, JsonValue]:
    return {
        "data": "people, motions and grounds of 0 A.D. release 26, rendered (engines/data)",
        "licence": "CC BY-SA 3.0",
        "attribution": "0 A.D. (release 26), (c) Wildfire Games and contributors; ATTRIBUTION.txt",
        "command": command(run.seed),
        "date": datetime.now(UTC).date().isoformat(),
        "cpu_minutes": round(run.cpu_minutes(), 1),
        "tests": {
            "a": "people and cultures that training never saw, in the motions of the training",
            "b": "the same people in motions held out (fall, get_up, shoot: as in training)",
        },
    }
