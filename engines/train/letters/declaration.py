"""The only reader of the Universal Declaration of Human Rights, as the npm package has it."""

import html
import re
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PREAMBLE = 0
ARTICLES = range(1, 31)
MAX_FILE_BYTES = 1 << 20

CODES: Mapping[str, str] = {
    "bg": "bul",
    "cs": "ces",
    "da": "dan",
    "de": "deu_1996",
    "el": "ell_monotonic",
    "en": "eng",
    "es": "spa",
    "et": "est",
    "fi": "fin",
    "fr": "fra",
    "ga": "gle",
    "hr": "hrv",
    "hu": "hun",
    "it": "ita",
    "lt": "lit",
    "lv": "lav",
    "mt": "mlt",
    "nl": "nld",
    "pl": "pol",
    "pt": "por_PT",
    "ro": "ron_2006",
    "sk": "slk",
    "sl": "slv",
    "sv": "swe",
}
"""The 24 official languages of the European Union, and the translation of each in the package."""

LANGUAGES: Sequence[str] = tuple(CODES)

_PIECE = re.compile(
    r'<(article|p|li)(?: data-number="(\d+)")?[^>]*>(?:(.*?)</(?:p|li)>)?', re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """The words of one paragraph. Article 0 is the preamble."""

    article: int
    words: tuple[str, ...]


def read_declaration(package: Path) -> Mapping[str, Sequence[Paragraph]]:
    """Return the paragraphs of each language, in their order."""
    with tarfile.open(package, "r:gz") as files:
        return {
            language: _paragraphs(_content(files, f"package/declaration/{code}.html"))
            for language, code in CODES.items()
        }


def of_articles(
    texts: Mapping[str, Sequence[Paragraph]], articles: Collection[int]
) -> Mapping[str, Sequence[tuple[str, ...]]]:
    """Return the words of the paragraphs of some articles, by language."""
    return {
        language: [one.words for one in paragraphs if one.article in articles]
        for language, paragraphs in texts.items()
    }


def _content(files: tarfile.TarFile, name: str) -> str:
    file = files.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file of the package")
    with file:
        return file.read(MAX_FILE_BYTES).decode()


def _paragraphs(page: str) -> list[Paragraph]:
    found, article = [], PREAMBLE
    for kind, number, content in _PIECE.findall(page):
        if kind == "article":
            article = int(number or article + 1)
        text = html.unescape(re.sub(r"<[^>]+>", " ", content)).replace("\u2010", "-")
        if words := tuple(text.split()):
            found.append(Paragraph(article, words))
    return found
