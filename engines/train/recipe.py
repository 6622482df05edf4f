"""The whole way from the pack of actors to a measured bundle, in the order in which it is gone."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from rich.progress import Progress

from engines.bundle import Bundle, write_bundle
from engines.onnxrt import OnnxRuntimeEngine
from engines.train.actors import PACK, Actors, Split, load_actors
from engines.train.encoder import joint_error, train_encoder
from engines.train.exporting import PROOF_FRAMES, Model, describe, prove, to_bundle
from engines.train.head import Stage, found_skeletons, join, train_head, true_skeletons
from engines.train.heads import Head, make_head
from engines.train.networks import FEATURES, SIZE, Encoder, SkeletonEncoder, pictures
from engines.train.rolling import NEVER, roll, score, score_actions
from engines.train.streams import ACTIONS, Take, random_take

USUAL_MINUTES = 18.0
ENCODER_SHARE = 0.75  # of the minutes; the rest is rendering streams and training the head
LENGTH = 160  # frames of a training stream
POSE_STREAMS, SEEN_STREAMS = 4000, 1200
# On true joints first: the head learns the actions before it learns the encoder's faults. The last
# stage adds noise to what was found on training people, because new people are found less exactly.
ON_POSES = Stage(frames=4_000_000, learning_rate=3e-3, noise=0.03, bias=0.03, seed=1)
ON_PICTURES = (
    Stage(frames=6_000_000, learning_rate=2e-3, noise=0.01, bias=0.0, seed=2),
    Stage(frames=5_000_000, learning_rate=2e-3, noise=0.03, bias=0.03, seed=3),
)
TEST_STREAMS, TEST_LENGTH = 60, 300
SIDE_BY_SIDE = 12  # test streams at a time: 100 MB of pictures
RESETS = (NEVER, 1, 15)  # frames


def make_bundle(
    out: Path, *, minutes: float, seed: int, progress: Progress
) -> dict[str, JsonValue]:
    """Train, export, prove, measure and write the bundle of ten actions; return its card."""
    torch.set_num_threads(2)
    begun = time.process_time()
    actors = load_actors()
    encoder = train_encoder(actors, minutes=minutes * ENCODER_SHARE, seed=seed, progress=progress)
    head = train_memory(encoder, actors, minutes=minutes, seed=seed, progress=progress)
    cpu_minutes = (time.process_time() - begun) / 60
    model = to_model(encoder, head)
    bundle = to_bundle(model)
    training = _about(minutes, seed, cpu_minutes) | inspect(
        bundle, model, encoder, actors=actors, progress=progress
    )
    card = describe(model, training)
    write_bundle(out, card, encoder=bundle.encoder, head=bundle.head)
    (out / "ATTRIBUTION.txt").write_text(attribution())
    return training


def to_model(encoder: Encoder, head: Head, size: int = SIZE) -> Model:
    """Say what the trained networks are for."""
    return Model(SkeletonEncoder(encoder), head, pictures(size), ACTIONS, name="actions")


def train_memory(
    encoder: Encoder, actors: Actors, *, minutes: float, seed: int, progress: Progress
) -> Head:
    """Train a head for an encoder, longer if more minutes were given."""
    torch.manual_seed(seed)
    head = make_head("lstm", len(ACTIONS), features=FEATURES)
    share = minutes / USUAL_MINUTES
    takes = _draw(actors, [seed, 1], people="train", clips="train", count=POSE_STREAMS)
    train_head(head, true_skeletons(takes), _shorten(ON_POSES, share), progress)
    count = max(48, int(SEEN_STREAMS * share))
    takes = _draw(actors, [seed, 2], people="train", clips="train", count=count)
    pictures = progress.track(_rendered(actors, takes), len(takes), description="watching")
    seen = join([found_skeletons(encoder, t, p) for t, p in zip(takes, pictures, strict=True)])
    for stage in ON_PICTURES:
        train_head(head, seen, _shorten(stage, share), progress)
    return head


def inspect(
    bundle: Bundle, model: Model, encoder: Encoder, *, actors: Actors, progress: Progress
) -> dict[str, JsonValue]:
    """Prove the bundle, and measure it on people whom training never saw."""
    (stream,) = _draw(actors, [1001], people="test", clips="test", count=1, length=PROOF_FRAMES)
    deviation = prove(bundle, model, stream.pixels(actors, size=SIZE))
    errors = {
        f"{people}_people": round(joint_error(encoder, actors, people=people), 2)
        for people in _SPLITS
    }
    return {
        "parameters": sum(p.numel() for m in (model.encoder, model.head) for p in m.parameters()),
        "largest_deviation_from_torch": float(f"{deviation:.1e}"),
        "joint_error_px": dict(errors),
        "test_a": _measure(bundle, actors, clips="train", seed=1002, progress=progress),
        "test_b": _measure(bundle, actors, clips="test", seed=1003, progress=progress),
        "sample_accuracy": dict.fromkeys(("gate", "yard", "market", "harbour")),
    }


def attribution() -> str:
    """Whose work the data, the pictures and so the weights come from."""
    return (PACK.parent / "ATTRIBUTION.txt").read_text()


_SPLITS: tuple[Split, ...] = ("train", "test")


def _measure(
    bundle: Bundle, actors: Actors, *, clips: Split, seed: int, progress: Progress
) -> JsonValue:
    takes = _draw(
        actors, [seed], people="test", clips=clips, count=TEST_STREAMS, length=TEST_LENGTH
    )
    engine = OnnxRuntimeEngine(bundle, threads=2)
    answers = []
    for first in progress.track(
        range(0, TEST_STREAMS, SIDE_BY_SIDE), description=f"testing on clips of {clips}"
    ):
        some = takes[first : first + SIDE_BY_SIDE]
        answers.append(roll(engine, np.stack(list(_rendered(actors, some))), resets=RESETS))
    labels = np.stack([take.labels for take in takes], 1)  # (T, N)
    onsets = np.stack([take.onsets for take in takes], 1)
    logits = {reset: np.concatenate([a[reset] for a in answers], 1) for reset in RESETS}
    return {
        "streams": TEST_STREAMS,
        "frames": labels.size,
        "carried": dict(score(logits[NEVER], labels, onsets)),
        "reset_every": {
            str(reset): dict(score(logits[reset], labels, onsets)) for reset in RESETS[1:]
        },
        "accuracy_by_action": dict(score_actions(logits[NEVER], labels)),
    }


def _draw(
    actors: Actors,
    seed: list[int],
    *,
    people: Split,
    clips: Split,
    count: int,
    length: int = LENGTH,
) -> list[Take]:
    rngs = (np.random.default_rng([*seed, i]) for i in range(count))
    return [random_take(actors, rng, people=people, clips=clips, length=length) for rng in rngs]


def _rendered(actors: Actors, takes: list[Take]) -> Iterator[NDArray[np.uint8]]:
    """The pictures (T, H, W, 3) of each take, in order, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        for first in range(0, len(takes), 8):
            some = takes[first : first + 8]
            yield from pool.map(lambda take: take.pixels(actors, size=SIZE), some)


def _shorten(stage: Stage, share: float) -> Stage:
    return replace(stage, frames=int(stage.frames * share))


def _about(minutes: float, seed: int, cpu_minutes: float) -> dict[str, JsonValue]:
    return {
        "data": "people, motions and grounds of 0 A.D. release 26, rendered (engines/data)",
        "licence": "CC BY-SA 3.0",
        "attribution": "0 A.D. (release 26), (c) Wildfire Games and contributors; ATTRIBUTION.txt",
        "command": f"python -m engines.train actions --minutes {minutes:g} --seed {seed}",
        "date": datetime.now(UTC).date().isoformat(),
        "cpu_minutes": round(cpu_minutes, 1),
        "tests": {
            "a": "people and cultures that training never saw, in the motions of the training",
            "b": "the same people in motions held out (fall, get_up, shoot: as in training)",
        },
    }
