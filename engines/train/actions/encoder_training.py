"""Trains the encoder to find joints, on unrelated frames that are rendered as they are needed."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional

from engines.train.checkpoint import TrainingCheckpoint
from engines.train.descent import descend
from engines.train.encoders.joint_networks import SIZE, Encoder, normalise
from engines.train.people.actors import Actors, Split
from engines.train.people.skeleton import MIRRORED
from engines.train.people.streams import unrelated_frames

BATCH = 128
SAME_PERSON = 16  # frames of one person in a batch: a render call costs more than a frame
LEARNING_RATE = 2e-3  # AdamW, the rate of the prototype
WARM_UP = 200  # batches
DECAY_FROM = 0.4  # of the batches: constant before, then a cosine down to 2 %
WEIGHT_DECAY = 0.02
AVERAGE = 0.998  # of the weights: what is kept is their moving average
NEAR = 0.04  # half pictures, 2 pixels: a smaller error counts by its square, a larger by its size
DEPTH_WEIGHT = 0.5  # depth is guessed from appearance alone, and must not drown x and y
RENDERERS = 2  # threads
SAVED_EVERY = 200  # batches, about 40 s


def train_encoder(
    actors: Actors, *, frames: int, seed: int, checkpoint: TrainingCheckpoint, progress: Progress
) -> Encoder:
    """Train on `frames` frames that are rendered for the purpose, from the checkpoint on."""
    torch.manual_seed(seed)
    encoder = Encoder().to(memory_format=torch.channels_last)
    average = torch.optim.swa_utils.AveragedModel(
        encoder,
        avg_fn=_average,
        use_buffers=True,  # batch-norm statistics too
    )
    optimiser = torch.optim.AdamW(_groups(encoder), LEARNING_RATE)
    parts = {"encoder": encoder, "average": average, "optimiser": optimiser}
    first, last = checkpoint.restore(**parts), max(1, frames // BATCH)
    task = progress.add_task("encoder", total=last * BATCH, completed=first * BATCH)
    encoder.train()
    for batch in range(first, last):
        rate = LEARNING_RATE * min(1, (batch + 1) / WARM_UP) * _decay(batch / last)
        pictures, joints = _batch(actors, seed, batch)
        loss = joint_loss(find_joints(encoder, pictures)[0], joints)
        descend(optimiser, loss, rate=rate)
        average.update_parameters(encoder)
        progress.update(task, advance=BATCH, description=f"encoder: loss {loss.item():.3f}")
        if (batch + 1) % SAVED_EVERY == 0 or batch + 1 == last:
            checkpoint.save(batch + 1, **parts)
    trained: Encoder = average.module.eval()
    return trained


def find_joints(encoder: Encoder, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Run the convolutions in bfloat16: twice as fast, where the processor knows it."""
    with torch.autocast("cpu", torch.bfloat16):
        maps = encoder.look(pixels)
    return encoder.locate(maps)


def joint_loss(found: Tensor, joints: Tensor) -> Tensor:
    """Mean over frames of the summed error of 16 joints: (N, 16, 3) against (N, 16, 3)."""
    errors = functional.smooth_l1_loss(found, joints, reduction="none", beta=NEAR)
    return (errors * torch.tensor([1.0, 1.0, DEPTH_WEIGHT])).sum(-1).mean()


@torch.inference_mode()
def joint_error(encoder: Encoder, actors: Actors, *, people: Split) -> float:
    """Mean distance in pixels of the found joints from the true ones, over unrelated frames."""
    rng = np.random.default_rng(99)
    distances = []
    for _ in range(48):
        frames, truth = unrelated_frames(actors, rng, people=people, count=32, size=SIZE)
        found, _ = encoder(normalise(torch.from_numpy(frames)))
        distances.append(np.linalg.norm((found.numpy() - truth)[..., :2], axis=-1))
    return float(np.mean(distances)) * SIZE / 2


def _batch(actors: Actors, seed: int, batch: int) -> tuple[Tensor, Tensor]:
    """Normalised pixels (128, 3, 96, 96) and joints (128, 16, 3) of one batch of a run."""

    def some(part: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([seed, batch, part])
        return unrelated_frames(actors, rng, people="train", count=SAME_PERSON, size=SIZE)

    with ThreadPoolExecutor(RENDERERS) as pool:
        drawn = pool.map(some, range(BATCH // SAME_PERSON))
        frames, joints = map(np.concatenate, zip(*drawn, strict=True))
    return _vary(normalise(torch.from_numpy(frames)), torch.from_numpy(joints))


def _vary(pixels: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror every second frame, and blur every fourth: cameras and codecs are not as sharp."""
    pixels[::4] = functional.avg_pool2d(pixels[::4], 3, stride=1, padding=1)
    mirrored = torch.arange(len(pixels)) % 8 < 4
    pixels[mirrored] = pixels[mirrored].flip(3)
    joints[mirrored] = joints[mirrored][:, MIRRORED] * torch.tensor([-1.0, 1.0, 1.0])
    return pixels.contiguous(memory_format=torch.channels_last), joints


def _average(average: Tensor, current: Tensor, batches: Tensor | int) -> Tensor:
    """Move the average, faster at first, so that it forgets the random beginning."""
    if not average.is_floating_point():  # batch norm counts its batches
        return current
    share = max(1 - AVERAGE, 1 - (int(batches) + 1) / (int(batches) + 20))
    return average.lerp(current, share)


def _decay(done: float) -> float:
    if done < DECAY_FROM:
        return 1.0
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (done - DECAY_FROM) / (1 - DECAY_FROM)))


def _groups(model: nn.Module) -> list[dict[str, object]]:
    """Only matrices and kernels decay; biases and norms do not."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
