"""Every command that the documentation shows exists: those of longtake, and targets of make."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.commands import refusal, unknown
from tests.docs.pages import ROOT, Page, pages

MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"^([A-Z_]+) \?= ", MAKEFILE, re.MULTILINE))


def shell(page: Page) -> Iterator[list[str]]:
    for block in page.blocks:
        if block.kind.split()[0:1] == ["sh"]:
            yield from block.commands()


def provide(words: list[str], folder: Path) -> None:
    """Make the files and folders that a command line names: some options look for them."""
    for word in words:
        if word.startswith(("http", "rtsp", "-")):
            continue
        if re.fullmatch(r"[\w./-]+\.\w{2,4}", word):
            (folder / word).parent.mkdir(parents=True, exist_ok=True)
            (folder / word).touch()
        elif word.startswith("./"):
            (folder / word).mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize("name", pages())
def test_every_command_line_is_one_that_longtake_takes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = []
    for words in shell(Page.read(name)):
        if words[0] == "longtake":
            provide(words, tmp_path)
            refused.append((words, refusal(words[1:])))
    assert [(words, why) for words, why in refused if why is not None] == []


@pytest.mark.parametrize("name", pages())
def test_every_command_and_option_in_the_text_exists(name: str) -> None:
    named = [span for span in Page.read(name).spans if span.startswith("longtake ")]
    assert [wrong for span in named if (wrong := unknown(shlex.split(span)[1:])) is not None] == []


@pytest.mark.parametrize("name", pages())
def test_every_target_of_make_exists(name: str) -> None:
    page = Page.read(name)
    lines = [*shell(page), *(span.split() for span in page.spans)]
    for line in (line for line in lines if line[0] == "make"):
        words = [*line, "&&"][1 : [*line, "&&"].index("&&")]
        assert {word for word in words if "=" not in word} - TARGETS == set()
        assert {word.partition("=")[0] for word in words if "=" in word} - VARIABLES == set()


def test_what_does_not_exist_is_found() -> None:
    assert refusal(["tail", "--forever"]) is not None
    assert unknown(["topics", "destroy"]) == "topics destroy"
    assert unknown(["worker", "--slow"]) == "--slow"
    assert unknown(["worker", "--slot", "NAME"]) is None
