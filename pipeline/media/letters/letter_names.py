"""Which sources hold letters, by their names. It needs nothing of bundles: cameras ask it too."""

from pathlib import PurePath

from pipeline.media.address import Address
from pipeline.media.letters.unpacking import STDIN

JSON_LINES = (".jsonl", ".ndjson")
LETTER_FILES = frozenset(
    {".txt", *JSON_LINES, ".fa", ".fasta", ".fna", ".ffn", ".gb", ".gbk", ".gbff"}
)


def is_letters(address: Address) -> bool:
    """Return whether a source looks like letters by its name; standard input does."""
    return address.url == STDIN or _suffix(address) in LETTER_FILES


def is_json_lines(address: Address) -> bool:
    """Return whether a file has a JSON object on each line, by its name."""
    return _suffix(address) in JSON_LINES


def _suffix(address: Address) -> str:
    path = PurePath(address.url.removesuffix(".gz"))
    return path.suffix.lower()
