"""Runs each command of docs/cameras.md, with a real camera."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from pipeline.local.ports import free_ports
from tests.cameras.mounts import Mount
from tests.cameras.rtsp import serving
from tests.cli.commands import until
from tests.docs.pages import Page
from tests.docs.reader import Reader, at_home

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

LOGIN = "viewer:your password"


def tutorial() -> Page:
    """Return the first part of the page; the reference begins behind the horizontal line."""
    page = Page.read("docs/cameras.md")
    return Page(page.name, page.text.partition("\n---\n")[0])


@pytest.fixture
def watching() -> int:
    """Return a port for Prometheus."""
    return free_ports(1)[0]


@pytest.fixture
def reader(prometheus: str, watching: int, tmp_path: Path) -> Iterator[Reader]:
    with ExitStack() as stack:
        mount = Mount("stream1", fps=15, gop=30)
        server = stack.enter_context(serving(mount, login=LOGIN))
        changes = {
            "10.0.0.7:554/stream1": f"127.0.0.1:{server.port}/stream1",
            "127.0.0.1:9090": f"127.0.0.1:{watching}",
        }
        at_home(tmp_path)
        reader = Reader(tmp_path, stack, changes)
        for name, port in (("workers", reader.worker), ("cameras", reader.cameras)):
            file = tmp_path / "deploy" / "prometheus" / "targets" / f"{name}.yml"
            file.write_text(f'- targets: ["127.0.0.1:{port}"]\n')
        yield reader


def test_the_page_leads_from_a_camera_to_a_dashboard(reader: Reader, watching: int) -> None:
    blocks = tutorial().blocks
    assert {block.kind for block in blocks} == {"sh", "toml"}
    for block in blocks:
        if "promtool" in block.text:
            reader.sees("longtake tail", "gate")
            wait_for_scrapes(watching)
        reader.follow(block)
    assert "suits actions@" in reader.said["longtake probe"].read_text()
    assert "BROKEN" not in reader.said["longtake tail"].read_text()
    assert reader.said["promtool"].read_text().strip() == ""  # no alert fires


def wait_for_scrapes(port: int) -> None:
    """Wait for a scrape: a reader who types is slower than Prometheus, this test is not."""
    for query in ('longtake_camera_state{state="live"} == 1', "longtake_stream_confidence_ratio"):
        command = ["promtool", "query", "instant", f"http://127.0.0.1:{port}", query]
        until(partial(output_of, command), query)


def output_of(command: Sequence[str]) -> bytes:
    return subprocess.run(command, capture_output=True, check=False).stdout
