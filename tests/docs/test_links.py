"""No link of the documentation is dead, and every page can be found."""

from pathlib import PurePosixPath

import pytest

from tests.docs.pages import ROOT, Page, pages

CONTENTS = "docs/index.md"


def target(page: str, link: str) -> tuple[str, str]:
    """The file that a link of a page leads to, from the root, and the anchor in it."""
    path, _, anchor = link.partition("#")
    if not path:
        return page, anchor
    place = (ROOT / page).parent / path
    return PurePosixPath(place.resolve().relative_to(ROOT.resolve())).as_posix(), anchor


def is_dead(page: str, link: str) -> bool:
    name, anchor = target(page, link)
    if not (ROOT / name).exists():
        return True
    return bool(anchor) and anchor not in Page.read(name).anchors


@pytest.mark.parametrize("name", pages())
def test_no_link_is_dead(name: str) -> None:
    page = Page.read(name)
    assert [link for link in page.links if is_dead(name, link)] == []


@pytest.mark.parametrize("name", pages())
def test_no_merge_is_left_half_done(name: str) -> None:
    marks = ("<<<<<<< ", "=======", ">>>>>>> ")
    assert [line for line in Page.read(name).text.splitlines() if line.startswith(marks)] == []


def test_a_dead_link_is_found() -> None:
    assert is_dead("docs/index.md", "nowhere.md")
    assert is_dead("docs/index.md", "formats.md#nowhere")
    assert not is_dead("docs/index.md", "formats.md#the-chain")


def test_the_contents_list_every_page_of_the_folder() -> None:
    linked = {target(CONTENTS, link)[0] for link in Page.read(CONTENTS).links}
    assert {name for name in pages() if name.startswith("docs/")} - linked - {CONTENTS} == set()


def test_the_readme_is_short_and_leads_everywhere() -> None:
    readme = Page.read("README.md")
    assert len(readme.text.splitlines()) <= 150
    linked = {target("README.md", link)[0] for link in readme.links}
    assert set(pages()) - linked - {"README.md", CONTENTS} == set()
