"""README.md and docs/quickstart.md do what they say: their commands are run on a real Kafka."""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.pages import Page
from tests.docs.reader import Reader, at_home

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is missing; tests/setup-system.sh installs it")
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


def test_the_quick_start_leads_through_a_killed_worker(reader: Reader) -> None:
    blocks = Page.read("docs/quickstart.md").blocks
    (again,) = (block for block in blocks if "longtake worker" in block.text)
    for block in blocks:
        if block.text.startswith("kcat"):  # the page kills the worker before this step
            reader.sees("longtake tail", "gate")
            reader.kill("longtake worker")
            reader.follow(again)
        reader.follow(block)
    predictions = map(json.loads, reader.said["kcat"].read_text().splitlines())
    assert [p["memory"]["reset"] for p in predictions].count("new") == 1
    assert "longtake replay" in reader.said
