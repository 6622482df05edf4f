"""The only reader of the two annotated genomes: which strand codes for protein at each base."""

import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

STRANDS = ("forward", "reverse", "between")
FORWARD, REVERSE, BETWEEN = range(3)
MAX_FILE_BYTES = 64 << 20

FOLDER = "github.com/bebop/poly@v0.30.0/data"
ECOLI = "ecoli-mg1655.gff"
BSUB = "bsub.gbk"

_COMPLEMENT = bytes.maketrans(b"ACGTRYKMBVDH", b"TGCAYRMKVBHD")
_MIRRORED = np.array([REVERSE, FORWARD, BETWEEN], np.uint8)

Gene = tuple[int, int, str]  # first and last base, from 1; strand + or -


@dataclass(frozen=True, slots=True)
class Genome:
    """The letters of a sequence (B,), and for each the strand that codes there (B,)."""

    bases: NDArray[np.uint8]
    strands: NDArray[np.uint8]

    def other_strand(self) -> "Genome":
        """Return the reverse complement: what was forward is reverse there."""
        mirrored = self.bases.tobytes().translate(_COMPLEMENT)[::-1]
        return Genome(np.frombuffer(mirrored, np.uint8), _MIRRORED[self.strands[::-1]])

    def records(self, size: int, *, first: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
        """Cut it from base `first` into (R, size) letters, each with its label (R,).

        A record's label is the strand of most of its bases.
        """
        count = (len(self.bases) - first) // size
        end = first + count * size
        strands = self.strands[first:end].reshape(count, size)
        votes = np.stack([(strands == strand).sum(1) for strand in range(len(STRANDS))], 1)
        return self.bases[first:end].reshape(count, size), votes.argmax(1)


def read_ecoli(package: Path) -> Genome:
    """Read E. coli K-12 MG1655 (U00096.3): GFF3 with its FASTA behind."""
    genes: list[Gene] = []
    bases: list[str] = []
    behind = False
    for line in _lines(package, ECOLI):
        if line.startswith("##FASTA"):
            behind = True
        elif behind:
            if not line.startswith(">"):
                bases.append(line)
        elif not line.startswith("#"):
            fields = line.split("\t")
            if len(fields) > 8 and fields[2] == "CDS" and "pseudo=true" not in fields[8]:
                genes.append((int(fields[3]), int(fields[4]), fields[6]))
    return _genome("".join(bases), genes)


def read_bsub(package: Path) -> Genome:
    """Read B. subtilis 168 (NC_000964.3): GenBank."""
    genes: list[Gene] = []
    bases: list[str] = []
    kind, place, pseudo, located = "", "", False, False

    def finish() -> None:
        if kind == "CDS" and not pseudo:
            strand = "-" if "complement" in place else "+"
            spans = re.findall(r"<?(\d+)\.\.>?(\d+)", place)
            genes.extend((int(first), int(last), strand) for first, last in spans)

    behind = False
    for line in _lines(package, BSUB):
        if line.startswith("//"):
            break
        if line.startswith("ORIGIN"):
            finish()
            behind = True
        elif behind:
            bases.append(re.sub(r"[^A-Za-z]", "", line))
        elif line.startswith("     ") and line[5:6].strip():
            finish()
            kind, place, pseudo, located = line[5:21].strip(), line[21:].strip(), False, True
        elif line.startswith(" " * 21):
            said = line.strip()
            located = located and not said.startswith("/")
            place += said if located else ""
            pseudo = pseudo or said.startswith("/pseudo")
    return _genome("".join(bases), genes)


def _lines(package: Path, name: str) -> Iterator[str]:
    with zipfile.ZipFile(package) as files, files.open(f"{FOLDER}/{name}") as file:
        content = file.read(MAX_FILE_BYTES)
    yield from content.decode("ascii", "replace").splitlines()


def _genome(bases: str, genes: Iterable[Gene]) -> Genome:
    """Mark what codes; where genes of both strands overlap, the later one in order wins."""
    strands = np.full(len(bases), BETWEEN, np.uint8)
    for first, last, strand in sorted(set(genes)):
        strands[first - 1 : last] = FORWARD if strand == "+" else REVERSE
    return Genome(np.frombuffer(bases.upper().encode(), np.uint8), strands)
