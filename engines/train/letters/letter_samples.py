"""Small samples of test data as files, with their labels: what a reader tries a bundle with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.train.letters import languages, strands
from engines.train.letters.declaration import of_articles, read_declaration
from engines.train.letters.genomes import read_bsub

WORDS, SEED = 300, 2
FIRST, PIECES = 3_200_640, 1000  # bases, records


@dataclass(frozen=True, slots=True)
class LetterSample:
    """One stream as a source of `longtake run`, and the same as arrays: (R, L) and (R,)."""

    file: str
    content: str
    letters: NDArray[np.uint8]
    labels: NDArray[np.intp]

    def write(self, folder: Path, names: Sequence[str]) -> None:
        """Write the source, and beside it its labels as `--labels` takes them."""
        path = folder / self.file
        path.write_text(self.content, "utf-8")
        rows = "".join(f"{n},{names[label]}\n" for n, label in enumerate(self.labels))
        path.with_suffix(".csv").write_text(f"frame,label\n{rows}", "utf-8")


def spoken_sample(package: Path) -> LetterSample:
    """Words of articles 25-30: after each paragraph somebody else speaks."""
    texts = of_articles(read_declaration(package), languages.TEST_ARTICLES)
    drawn = languages.draw_stream(texts, WORDS, np.random.default_rng(SEED), switch=1.0)
    labels = np.array(drawn.labels)
    content = "".join(f"{word}\n" for word in drawn.words)
    return LetterSample("session.txt", content, languages.to_records(drawn.words), labels)


def coding_sample(package: Path) -> LetterSample:
    """60,000 bases of B. subtilis 168, with genes on both strands."""
    letters, labels = read_bsub(package).records(strands.SIZE, first=FIRST)
    letters, labels = letters[:PIECES], labels[:PIECES]
    title = f">NC_000964.3:{FIRST + 1}-{FIRST + PIECES * strands.SIZE} Bacillus subtilis 168"
    lines = "".join(f"{row.tobytes().decode('ascii')}\n" for row in letters)
    return LetterSample("bsub.fa", f"{title}\n{lines}", letters, labels)
