"""The task `languages`: one word of a speaker at a time, in which language the stream is now.

Trained on the preamble and articles 1-24 of the Universal Declaration, tested on articles 25-30.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engines.train.letters.declaration import ARTICLES, LANGUAGES, PREAMBLE, of_articles
from engines.train.letters.declaration import read_declaration as read
from engines.train.letters.letter_training import LetterChunk
from engines.train.letters_input import Letters

INPUT = Letters("text", 24, "cut")  # a word; of longer ones the beginning says enough
TRAINING_ARTICLES = (PREAMBLE, *ARTICLES[:24])
TEST_ARTICLES = tuple(ARTICLES[24:])

LANES, RECORDS = 32, 24
SWITCH = 0.25  # how often the language changes after a sentence
FORGET = 0.15  # how often a lane's memory is empty before a chunk
MOST_WORDS = 40  # of one paragraph in a row
TEST_STREAMS, TEST_WORDS, TEST_SEED = 500, 60, 1

Texts = Mapping[str, Sequence[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class SpokenStream:
    """Words in a row, and the language of each as its index."""

    words: list[str]
    labels: list[int]


def training_chunks(package: Path, *, steps: int, seed: int) -> Iterator[LetterChunk]:
    """Draw chunks of streams that change their language now and then."""
    texts, rng = of_articles(read(package), TRAINING_ARTICLES), np.random.default_rng(seed)
    lanes = [SpokenStream([], []) for _ in range(LANES)]
    for step in range(steps):
        rows, labels = [], []
        for place, lane in enumerate(lanes):
            words, marks = lane.words, lane.labels
            if len(words) < RECORDS:
                more = draw_stream(texts, 4 * RECORDS, rng, switch=SWITCH)
                words, marks = words + more.words, marks + more.labels
            rows.append(to_records([_changed(word, rng) for word in words[:RECORDS]]))
            labels.append(marks[:RECORDS])
            lanes[place] = SpokenStream(words[RECORDS:], marks[RECORDS:])
        fresh = rng.random(LANES) < FORGET
        yield LetterChunk(
            torch.from_numpy(np.stack(rows, 1)),  # (T, N, L)
            torch.tensor(labels).T,
            torch.from_numpy(fresh) if step else torch.ones(LANES, dtype=torch.bool),
        )


def test_streams(package: Path, *, switch: float) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Draw test streams: letters (N, T, L) and labels (N, T). They are always the same."""
    texts = of_articles(read(package), TEST_ARTICLES)
    rng = np.random.default_rng(TEST_SEED)
    streams = [draw_stream(texts, TEST_WORDS, rng, switch=switch) for _ in range(TEST_STREAMS)]
    letters = np.stack([to_records(stream.words) for stream in streams])
    return letters, np.array([stream.labels for stream in streams])


def draw_stream(
    texts: Texts, length: int, rng: np.random.Generator, *, switch: float
) -> SpokenStream:
    """Draw paragraphs of one language; after each it changes with the probability `switch`."""
    words: list[str] = []
    labels: list[int] = []
    now = LANGUAGES[int(rng.integers(len(LANGUAGES)))]
    while len(words) < length:
        if rng.random() < switch:
            now = LANGUAGES[int(rng.integers(len(LANGUAGES)))]
        said = texts[now][int(rng.integers(len(texts[now])))]
        if len(said) > MOST_WORDS:
            first = rng.integers(len(said) - MOST_WORDS)
            said = said[first : first + MOST_WORDS]
        words += said
        labels += [LANGUAGES.index(now)] * len(said)
    return SpokenStream(words[:length], labels[:length])


def to_records(words: Sequence[str]) -> NDArray[np.uint8]:
    """Words -> (T, L), as a worker reads them."""
    return np.stack([INPUT.spec.fitted(word.encode()) for word in words])


def _changed(word: str, rng: np.random.Generator) -> str:
    """Captions differ in their case, and some letters are missing."""
    draw = rng.random()
    if draw < 0.3:
        word = word.lower()
    elif draw < 0.35:
        word = word.upper()
    elif draw < 0.45:
        word = word.capitalize()
    if rng.random() < 0.05 and len(word) > 2:
        place = rng.integers(len(word))
        word = word[:place] + word[place + 1 :]
    return word
