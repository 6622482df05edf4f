"""README.md and docs/quickstart.md do what they say: their commands are run on a real Kafka."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.commands import until
from tests.docs.pages import Block, Page
from tests.docs.reader import Reader, at_home

SOME_LINES = 1000  # bytes of what `tail` prints

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    if shutil.which("kcat") is None:
        why = "kcat is missing; tests/setup-system.sh installs it"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    with ExitStack() as stack:
        at_home(tmp_path)
        yield Reader(tmp_path, stack, {})


def test_the_readme_leads_to_predictions_that_pass_the_audit(
    reader: Reader, tmp_path: Path
) -> None:
    for block in Page.read("README.md").blocks:
        if "longtake audit" in block.text:
            reader.sees("longtake tail", "gate")
        reader.follow(block)
    assert (tmp_path / "gate-seen.mp4").stat().st_size > 10_000
    assert len((tmp_path / "gate.jsonl").read_text().splitlines()) > 100
    assert "BROKEN" not in reader.said["longtake tail"].read_text()
    assert "longtake audit" in reader.said


@pytest.mark.slow
def test_the_quick_start_leads_through_a_killed_worker(reader: Reader) -> None:
    blocks = Page.read("docs/quickstart.md").blocks
    (start_worker,) = (block for block in blocks if "longtake worker" in block.text)
    for block in blocks:
        if block.text.startswith("kcat"):  # here the page asks to kill the worker
            kill_and_start_again(reader, start_worker)
        reader.follow(block)
    first = json.loads(reader.said["kcat"].read_text().splitlines()[0])
    assert (first["stream"], first["memory"]["reset"]) == ("gate", "new")
    assert "BROKEN" not in reader.said["longtake tail"].read_text()
    assert {"longtake audit", "longtake replay"} <= reader.said.keys()  # both exited with 0


def kill_and_start_again(reader: Reader, start_worker: Block) -> None:
    """SIGKILL the worker in the middle of a stream, and wait for predictions of the next one."""
    tail = reader.said["longtake tail"]
    reader.sees("longtake tail", "gate")
    reader.kill("longtake worker")
    before = tail.stat().st_size
    reader.follow(start_worker)
    until(lambda: tail.stat().st_size > before + SOME_LINES, "predictions after the restart")
