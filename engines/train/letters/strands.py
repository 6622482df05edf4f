"""The task `strands`: 60 bases at a time, which strand codes for protein here, or none.

Trained on both strands of E. coli, tested on B. subtilis, which is of another phylum.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engines.train.letters.genomes import read_bsub, read_ecoli
from engines.train.letters.letter_training import LetterChunk
from engines.train.letters_input import Letters

SIZE = 60  # a multiple of 3: the reading frame of a gene stays the same from record to record
INPUT = Letters("bases", SIZE, "refuse")

LANES, RECORDS = 16, 32
EPOCHS = 8
FORGET = 0.05  # how often a lane's memory is empty before a chunk
MISREAD = 0.01  # of the bases
PIECE = 100_000  # bases of a test stream

_ACGT = np.frombuffer(b"ACGT", np.uint8)


def training_chunks(package: Path, *, epochs: int, seed: int) -> Iterator[LetterChunk]:
    """Each epoch cuts the genome and its reverse complement anew, and splits them among lanes."""
    genome, rng = read_ecoli(package), np.random.default_rng(seed)
    strands = (genome, genome.other_strand())
    for _ in range(epochs):
        cut = [strand.records(SIZE, first=int(rng.integers(SIZE))) for strand in strands]
        letters = np.concatenate([one[0] for one in cut])
        labels = np.concatenate([one[1] for one in cut])
        shift = int(rng.integers(len(letters)))
        letters, labels = np.roll(letters, shift, 0), np.roll(labels, shift)
        share = len(letters) // LANES
        lanes = letters[: share * LANES].reshape(LANES, share, SIZE)
        marks = labels[: share * LANES].reshape(LANES, share)
        for first in range(0, share - RECORDS + 1, RECORDS):
            some = lanes[:, first : first + RECORDS].copy()  # (N, T, L)
            wrong = rng.random(some.shape) < MISREAD
            some[wrong] = rng.choice(_ACGT, int(wrong.sum()))
            fresh = rng.random(LANES) < FORGET
            yield LetterChunk(
                torch.from_numpy(some.swapaxes(0, 1).copy()),
                torch.from_numpy(marks[:, first : first + RECORDS].T.copy()),
                torch.from_numpy(fresh) if first else torch.ones(LANES, dtype=torch.bool),
            )


def count_chunks(package: Path, *, epochs: int) -> int:
    """Return about how many chunks `training_chunks` draws."""
    records = 2 * len(read_ecoli(package).bases) // SIZE
    return epochs * (records // LANES // RECORDS)


def test_streams(package: Path) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Cut B. subtilis into streams of 100,000 bases: letters (N, T, L), labels (N, T)."""
    letters, labels = read_bsub(package).records(SIZE)
    length = PIECE // SIZE
    count = len(letters) // length
    return (
        letters[: count * length].reshape(count, length, SIZE),
        labels[: count * length].reshape(count, length),
    )
