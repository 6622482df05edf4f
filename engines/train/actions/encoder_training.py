"""Trains the encoder to find joints, on unrelated frames that are rendered for each batch.

Shapes: N frames of a batch, H x W pixels, 16 joints of (x, y, depth).
"""

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
SAME_PERSON = 16  # frames of one person in a batch: a render call has a cost of its own
LEARNING_RATE = 2e-3  # AdamW; chosen in the prototype
WARM_UP = 200  # batches in which the learning rate rises
DECAY_FROM = 0.4  # of the batches: the rate is constant before, then a cosine down to 2 %
WEIGHT_DECAY = 0.02
AVERAGE = 0.998  # decay of the moving average of the weights, which is the result
NEAR = 0.04  # half pictures, 2 pixels: the loss is quadratic below this error, linear above
DEPTH_WEIGHT = 0.5  # depth can only be guessed: its errors must not dominate those of x and y
RENDERERS = 2  # threads
SAVED_EVERY = 200  # batches, about 40 s: at most so much is lost by a kill


def train_encoder(
    actors: Actors, *, frames: int, seed: int, checkpoint: TrainingCheckpoint, progress: Progress
) -> Encoder:
    """Train a new encoder on `frames` rendered frames, from the checkpoint on if there is one."""
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
        pictures, joints = _batch(actors, seed, batch)  # (N, 3, H, W), (N, 16, 3)
        loss = joint_loss(find_joints(encoder, pictures)[0], joints)
        descend(optimiser, loss, rate=rate)
        average.update_parameters(encoder)
        progress.update(task, advance=BATCH, description=f"encoder: loss {loss.item():.3f}")
        if (batch + 1) % SAVED_EVERY == 0 or batch + 1 == last:
            checkpoint.save(batch + 1, **parts)
    trained: Encoder = average.module.eval()
    return trained


def find_joints(encoder: Encoder, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Run the convolutions in bfloat16: twice as fast on processors that support it."""
    with torch.autocast("cpu", torch.bfloat16):
        maps = encoder.look(pixels)
    return encoder.locate(maps)


def joint_loss(found: Tensor, joints: Tensor) -> Tensor:
    """Mean over frames of the summed errors of 16 joints: (N, 16, 3) against (N, 16, 3)."""
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
    """Render normalised pixels (128, 3, 96, 96) and joints (128, 16, 3) of batch number `batch`."""

    def some(part: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([seed, batch, part])
        return unrelated_frames(actors, rng, people="train", count=SAME_PERSON, size=SIZE)

    with ThreadPoolExecutor(RENDERERS) as pool:
        drawn = pool.map(some, range(BATCH // SAME_PERSON))
        frames, joints = map(np.concatenate, zip(*drawn, strict=True))
    return _augment(normalise(torch.from_numpy(frames)), torch.from_numpy(joints))


def _augment(pixels: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror every second frame, blur every fourth: real pictures are less sharp. In place."""
    pixels[::4] = functional.avg_pool2d(pixels[::4], 3, stride=1, padding=1)
    mirrored = torch.arange(len(pixels)) % 8 < 4
    pixels[mirrored] = pixels[mirrored].flip(3)
    joints[mirrored] = joints[mirrored][:, MIRRORED] * torch.tensor([-1.0, 1.0, 1.0])
    return pixels.contiguous(memory_format=torch.channels_last), joints


def _average(average: Tensor, current: Tensor, batches: Tensor | int) -> Tensor:
    """Update the moving average, faster at first: the first weights are random."""
    if not average.is_floating_point():  # batch norm counts its batches
        return current
    share = max(1 - AVERAGE, 1 - (int(batches) + 1) / (int(batches) + 20))
    return average.lerp(current, share)


def _decay(done: float) -> float:
    """Share of the training done, 0 to 1 -> factor of the learning rate, 1 to 0.02."""
    if done < DECAY_FROM:
        return 1.0
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (done - DECAY_FROM) / (1 - DECAY_FROM)))


def _groups(model: nn.Module) -> list[dict[str, object]]:
    """Apply weight decay to matrices and kernels, not to biases and norms."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
