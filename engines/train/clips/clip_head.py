"""Trains a head on the features of videos. One step of the optimiser reads from top to bottom.

The method is truncated back-propagation through time with a carried state. Streams run side by side
in lanes. Each step trains on the next T frames of all lanes, and the memory after these frames is
the memory before the next ones. The reason: a worker carries a stream's memory for hours. A head
that is only trained on short windows, each from an empty memory, fails on streams that go on.

Shapes: T frames of a chunk, N lanes, F features, K classes.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from engines.train.checkpoint import TrainingCheckpoint
from engines.train.chunks import carried
from engines.train.clips.best import Best
from engines.train.clips.footage import UNLABELLED, StageReport
from engines.train.clips.head_scores import mean_loss
from engines.train.clips.lanes import lane_chunks
from engines.train.clips.reels import FeatureStream
from engines.train.descent import LARGEST_NORM
from engines.train.heads import Head, Memory

EPOCH_FRAMES = 2048  # at least: a few short clips are repeated before each validation
PATIENCE = 10  # epochs without improvement: they cost seconds, and a recurrent head often pauses
LEARNING_RATE = 2e-3  # in the first epoch; twice AdamW's default
LAST_RATE = 0.1  # of LEARNING_RATE: where the rate would be after the last epoch
WEIGHT_DECAY = 0.02
SMOOTHING = 0.05  # of the labels: without it the scores are too close to 0 and 1


def train_clip_head(
    head: Head,
    streams: Sequence[FeatureStream],
    *,
    epochs: int,
    seed: int,
    checkpoint: TrainingCheckpoint,
    report: StageReport,
) -> None:
    """Train a head in place, and leave it with the weights that did best in validation.

    A run that is killed and started again ends with the same bytes: the checkpoint after each epoch
    holds the weights, the optimiser and the best weights so far, and all random numbers of an epoch
    are drawn from the seed and the epoch's number.
    """
    training = [stream for stream in streams if not stream.validation]
    validation = [stream for stream in streams if stream.validation]
    passes = -(-EPOCH_FRAMES // sum(len(stream.labels) for stream in training))  # rounded up
    optimiser = torch.optim.AdamW(head.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    best = Best(earliest=1)  # an untrained head is never kept: it only guesses

    report.begin("head", epochs)
    done = checkpoint.restore(network=head, optimiser=optimiser, best=best)
    if done:
        report.say(f"head: goes on after epoch {done}")
        report.reach(done)
    else:
        best.judge(mean_loss(head, validation), head)

    for epoch in range(done, epochs):
        if best.age >= PATIENCE:
            break

        # randomness: the order and the cuts of the streams come from rng, dropout from torch
        rng = np.random.default_rng([seed, epoch])
        torch.manual_seed(int(rng.integers(1 << 31)))

        # schedule: one rate for an epoch, falling in a straight line
        rate = LEARNING_RATE * (1 - (1 - LAST_RATE) * (epoch / epochs))
        for group in optimiser.param_groups:
            group["lr"] = rate

        head.train()  # dropout on: validation turned it off
        memory: Memory = ()  # all lanes are fresh in the first chunk of each pass
        # sample: the next T frames of each lane, (T, N, F) and (T, N)
        for chunk in chain.from_iterable(lane_chunks(training, rng) for _ in range(passes)):
            # forward, frame by frame in time; the memory (N, ...) is carried, without its gradient
            memory = carried(head, memory, chunk)
            logits, memory = head(chunk.features, memory)  # (T, N, F) -> (T, N, K)
            if (chunk.labels == UNLABELLED).all():
                continue  # these frames only step the memory: the mean loss of none is NaN

            # loss: the mean over all labelled frames of all lanes, each frame counting the same
            loss = functional.cross_entropy(
                logits.flatten(0, 1),  # (T, N, K) -> (T * N, K)
                chunk.labels.flatten(),  # (T, N) -> (T * N,)
                ignore_index=UNLABELLED,
                label_smoothing=SMOOTHING,
            )

            # backward, through the T frames of this chunk
            optimiser.zero_grad()
            loss.backward()

            # clip: a product of T Jacobians explodes now and then, and one step may undo an epoch
            nn.utils.clip_grad_norm_(head.parameters(), LARGEST_NORM)

            optimiser.step()

        # validation: whole streams, the memory carried from first to last frame, as in a worker
        best.judge(mean_loss(head, validation), head)

        # checkpoint: from here a killed run goes on
        checkpoint.save(epoch + 1, network=head, optimiser=optimiser, best=best)
        report.reach(epoch + 1, f"loss {best.losses[-1]:.3f}, best {best.losses[best.epoch]:.3f}")

    head.load_state_dict(best.weights)
    head.eval()
    report.say(f"head: {best.summary()}")
