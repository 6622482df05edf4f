"""The documentation as a site: Sphinx builds the Markdown files of the repository as they are.

docs/index.md is the table of contents: each of its sections lists pages, in their order.
"""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
INDEX = "docs/index"
PAGE = re.compile(r"^\| \[([^\]]+)\]\(([\w./-]+)\.md\) \|", re.MULTILINE)
LINK = re.compile(r"\[([^\]]+)\]\(([^()\s#]+)\)")
REDIRECT = (
    '<!doctype html><meta http-equiv="refresh" content="0; url=docs/index.html">'
    '<a href="docs/index.html">longtake</a>\n'
)

project = "longtake"
html_title = "longtake"
html_theme = "furo"
html_static_path = ["site"]
html_css_files = ["longtake.css"]
html_copy_source = False
html_show_sphinx = False
extensions = ["myst_parser"]
root_doc = INDEX
include_patterns = ["*.md", "docs/*.md", "examples/README.md"]
exclude_patterns = ["README.md", "build"]  # docs/index.md is the front page here
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]  # Pygments has no lexer for CSV


def prepare(app: Sphinx, name: str, source: list[str]) -> None:
    """Change a page where the site differs from the repository."""
    del app
    folder = (ROOT / name).parent
    source[0] = LINK.sub(lambda link: without_folder(folder, link), source[0])
    if name == INDEX:
        source[0] += contents(source[0])


def without_folder(folder: Path, link: re.Match[str]) -> str:
    """Keep only the words of a link to a folder: the site has pages and files."""
    return link[1] if (folder / link[2]).is_dir() else link[0]


def contents(index: str) -> str:
    """Make the list of pages at the side, with a caption for each section of the index."""
    lists = []
    for section in index.split("\n## ")[1:]:
        caption, _, body = section.partition("\n")
        pages = "\n".join(f"{title} <{page}>" for title, page in PAGE.findall(body))
        lists.append(f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n")
    return "".join(lists)


def add_entrance(app: Sphinx, failure: Exception | None) -> None:
    """Lead from the root of the site to its front page."""
    if failure is None:
        (Path(app.outdir) / "index.html").write_text(REDIRECT, "utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the functions above. Sphinx calls this."""
    app.connect("source-read", prepare)
    app.connect("build-finished", add_entrance)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
