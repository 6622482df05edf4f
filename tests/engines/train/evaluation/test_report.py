"""The report says what was measured, needs nothing from outside, and believes no label."""

import base64
import re
from html.parser import HTMLParser

import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("matplotlib", reason="the [train] extra is not installed")

from rich.progress import Progress

from engines.train.evaluation.charts import draw
from engines.train.evaluation.evaluate import Evaluation, evaluate
from engines.train.evaluation.report import write_report
from tests.engines.bundles import tiny
from tests.engines.train.evaluation.noise import data
from tests.engines.train.evaluation.typed_facts import figure, table

NASTY = ("stand", "<b>walk</b>", "run $x$")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    bundle = tiny(tmp_path_factory.mktemp("bundle"), labels=NASTY)
    return evaluate(bundle, data(), Progress(disable=True))


@pytest.fixture(scope="module")
def page(found: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(found, tiny(tmp_path_factory.mktemp("bundle"), labels=NASTY))


class Balance(HTMLParser):
    """Every element that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole(page: str) -> None:
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert balance.seen.count("img") == balance.seen.count("figcaption") == 6


def test_the_page_asks_for_nothing_from_outside(page: str) -> None:
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert set(sources) == {"data:image/svg+xml;base64,PD94b"[:30]}
    assert "<script" not in page
    assert "@import" not in page
    assert "url(" not in page


def test_labels_are_text_and_never_markup(page: str) -> None:
    assert "<b>walk" not in page
    assert "&lt;b&gt;walk&lt;/b&gt;" in page


def test_the_figures_of_the_page_are_those_of_the_facts(found: Evaluation, page: str) -> None:
    assert f"<td>{figure(found.facts, 'test_own', 'accuracy'):.1%}</td>" in page
    assert f"{figure(found.facts, 'frame_only', 'accuracy'):.1%}" in page
    assert str(found.facts["bundle"]) in page
    assert all(str(number) in page for number in table(found.facts, "versions").values())


def test_every_picture_has_words_for_who_cannot_see_it(page: str) -> None:
    alternatives = re.findall(r'<img [^>]*alt="([^"]+)"', page)
    assert len(alternatives) == 6
    assert all(len(words) > 20 for words in alternatives)


def test_pictures_are_the_same_whenever_they_are_drawn(found: Evaluation, page: str) -> None:
    pictures = draw(found)
    assert pictures == draw(found)
    for svg in pictures.values():
        assert svg.rstrip().endswith("</svg>")
        assert base64.b64encode(svg.encode()).decode() in page
