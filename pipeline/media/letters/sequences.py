"""FASTA and GenBank files as records: each sequence is a stream, cut into pieces of one length."""

import re
from collections.abc import Iterable, Iterator

from pipeline.errors import SourceError
from pipeline.media.letters.text_lines import LetterRecord
from pipeline.wire.frames import STREAM_WANTED, is_stream_id

_BLANKS = b" \t\r\n"
_DIGITS = b"0123456789"  # GenBank numbers its lines
ID_CHARACTERS = 200


class SequenceCutter:
    """Cuts the bases of the present sequence into records of `length`. One owner.

    Raises `SourceError` for a second sequence of the same name: it would continue the first.
    """

    def __init__(self, name: str, length: int) -> None:
        self._name, self._length = name, length
        self._seen: set[str] = set()
        self._stream: str | None = None
        self._rest = b""

    def begin(self, title: bytes) -> Iterator[LetterRecord]:
        """Yield the rest of the sequence before, and begin the one of this title."""
        yield from self.end()
        stream = stream_of(title)
        if not is_stream_id(stream):
            raise SourceError(f"{self._name}: a sequence has no name; wanted {STREAM_WANTED}")
        if stream in self._seen:
            raise SourceError(f"{self._name}: two sequences are called {stream}")
        self._seen.add(stream)
        self._stream = stream

    def add(self, bases: bytes) -> Iterator[LetterRecord]:
        """Yield the records that are complete with these bases."""
        if self._stream is None:
            raise SourceError(f"{self._name}: bases before the name of their sequence")
        self._rest += bases.translate(None, _BLANKS)
        whole = len(self._rest) - len(self._rest) % self._length
        for first in range(0, whole, self._length):
            yield LetterRecord(self._stream, self._rest[first : first + self._length])
        self._rest = self._rest[whole:]

    def end(self) -> Iterator[LetterRecord]:
        """Yield what is left of the present sequence."""
        if self._stream is not None and self._rest:
            yield LetterRecord(self._stream, self._rest)
        self._stream, self._rest = None, b""


def stream_of(title: bytes) -> str:
    """Return the stream of a sequence: the first word of its title, as far as ids allow."""
    words = title.split()
    word = words[0].decode("ascii", "replace") if words else ""
    return re.sub(r"[^A-Za-z0-9._:-]+", "-", word)[:ID_CHARACTERS]


def fasta(lines: Iterable[bytes], *, name: str, length: int) -> Iterator[LetterRecord]:
    """Read `>NAME ...` and the bases below. A long line may come in pieces."""
    cutter, inside = SequenceCutter(name, length), False  # whether a piece continues a title
    for piece in lines:
        if inside:
            inside = not piece.endswith(b"\n")
        elif piece.startswith(b">"):
            yield from cutter.begin(piece[1:])
            inside = not piece.endswith(b"\n")
        elif piece.strip():
            yield from cutter.add(piece)
    yield from cutter.end()


def genbank(lines: Iterable[bytes], *, name: str, length: int) -> Iterator[LetterRecord]:
    """Read entries: VERSION (or LOCUS) names the sequence, its bases stand below ORIGIN."""
    cutter, inside, title = SequenceCutter(name, length), False, b""
    for line in lines:
        if inside and line.startswith(b"//"):
            yield from cutter.end()
            inside, title = False, b""
        elif inside:
            yield from cutter.add(line.translate(None, _DIGITS))
        elif line.startswith((b"LOCUS ", b"VERSION ")):
            title = line.partition(b" ")[2]
        elif line.startswith(b"ORIGIN"):
            yield from cutter.begin(title)
            inside = True
    yield from cutter.end()
