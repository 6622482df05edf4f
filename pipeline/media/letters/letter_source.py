"""A file of letters, or standard input, as the records of its streams. Which format is it?

Text: JSON Lines by its name (.jsonl, .ndjson), else each line is a record. Bases: FASTA and GenBank
by their first line, JSON Lines by its name, else each line is a record.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import chain

from engines.model.inputs import LettersInput
from pipeline.errors import SourceError
from pipeline.media.address import Address
from pipeline.media.completeness import Completeness
from pipeline.media.letters.letter_names import is_json_lines
from pipeline.media.letters.sequences import fasta, genbank
from pipeline.media.letters.text_lines import LetterRecord, json_lines, plain_lines
from pipeline.media.letters.unpacking import Lines, open_bytes, pieces, whole_lines


class LetterSource(Iterator[LetterRecord]):
    """The records of an open source, once."""

    def __init__(self, records: Generator[LetterRecord, None, None], *, interleaved: bool) -> None:
        self._records = records
        self.interleaved = interleaved  # whether a stream may go on after records of another

    def __next__(self) -> LetterRecord:
        """Return the next record. Raises `SourceError` if the source breaks."""
        return next(self._records)

    def close(self) -> None:
        """Close the source, also before its end."""
        self._records.close()

    @property
    def completeness(self) -> Completeness:
        """Nothing is ever left out."""
        return Completeness({}, None)


def open_letters(address: Address, spec: LettersInput, *, stream: str) -> LetterSource:
    """Open a file of text or sequences. `stream` is the stream of records that name none.

    Raises `SourceError`, here and while iterating.
    """
    records = _records(open_bytes(address), address, spec, stream)
    return LetterSource(records, interleaved=is_json_lines(address))


def _records(
    file: Lines, address: Address, spec: LettersInput, stream: str
) -> Generator[LetterRecord, None, None]:
    name, count = address.shown, 0
    with closing(file):
        for record in _read(file, address, spec, stream):
            count += 1
            yield record
    if count == 0:
        raise SourceError(f"{name}: holds no {spec.kind}")


def _read(file: Lines, address: Address, spec: LettersInput, stream: str) -> Iterator[LetterRecord]:
    name = address.shown
    if is_json_lines(address):
        lines = whole_lines(file, name)
        return json_lines(lines, name=name, stream=stream, letters=spec.kind)
    if spec.kind == "text":
        return plain_lines(whole_lines(file, name), stream=stream)
    found = pieces(file, name)
    first = next((piece for piece in found if piece.strip()), b"")
    again = chain([first], found)
    if first.startswith(b">"):
        return fasta(again, name=name, length=spec.length)
    if first.startswith(b"LOCUS "):
        return genbank(again, name=name, length=spec.length)
    return plain_lines(enumerate((line.rstrip(b"\r\n") for line in again), 1), stream=stream)
