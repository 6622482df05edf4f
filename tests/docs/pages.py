"""The pages of the documentation, taken apart: blocks of code, links, headings, tables."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\S[^\n]*)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of code: what stands behind the fence, and its text."""

    kind: str
    text: str

    def lines(self) -> list[str]:
        """Its command lines; one that goes on behind a backslash is one."""
        return self.text.replace("\\\n", " ").splitlines()

    def commands(self) -> Iterator[list[str]]:
        """The words of each command line, without comments; a pipe ends it."""
        for line in self.lines():
            words = shlex.split(line, comments=True)
            if words:
                yield words[: words.index("|")] if "|" in words else words


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown file of the repository."""

    name: str
    text: str

    @classmethod
    def read(cls, name: str) -> "Page":
        return cls(name, (ROOT / name).read_text("utf-8"))

    @property
    def blocks(self) -> list[Block]:
        return [Block(kind, text) for kind, text in FENCE.findall(self.text)]

    @property
    def prose(self) -> str:
        """Everything but the blocks."""
        return FENCE.sub("", self.text)

    @property
    def spans(self) -> list[str]:
        """Code within the text."""
        return SPAN.findall(self.prose)

    @property
    def links(self) -> list[str]:
        """Where its links and pictures lead, those to other sites left out."""
        return [to for to in LINK.findall(SPAN.sub("", self.prose)) if "://" not in to]

    @property
    def anchors(self) -> set[str]:
        """What a link can name behind a `#`, as GitHub makes it of a heading."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def rows(self, heading: str) -> list[list[str]]:
        """The cells of the first table under a heading, without its own heading."""
        section = self.text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        table = re.search(r"^\|.*?\n(?!\|)", section, re.DOTALL | re.MULTILINE)
        assert table is not None, f"{self.name} has no table under {heading}"
        cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table[0].strip().splitlines()[2:]]
        return [[cell.strip() for cell in line] for line in cells]


def pages() -> list[str]:
    """The names of all pages."""
    top = sorted(path.name for path in ROOT.glob("*.md"))
    below = sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))
    return [*top, *below, "examples/README.md"]
