"""`longtake evaluate` as a user runs it, on a bundle so small that it takes seconds."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("numba", reason="the [train] extra is not installed")
pytest.importorskip("sklearn", reason="the [train] extra is not installed")
pytest.importorskip("matplotlib", reason="the [train] extra is not installed")


from typer.testing import CliRunner

from engines.errors import BundleError
from engines.train.people.streams import ACTIONS
from pipeline.cli.main import app
from pipeline.errors import OutputError
from tests.engines.bundles import write_tiny


def run(*arguments: str | Path) -> Any:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["evaluate", *map(str, arguments)])


def test_json_and_a_report_come_from_one_run(tmp_path: Path) -> None:
    bundle, page = write_tiny(tmp_path / "tiny", labels=ACTIONS), tmp_path / "report.html"
    ended = run(bundle, "--streams", "2", "--seed", "2000", "--json", "--html", page)
    assert ended.exit_code == 0, ended.exception
    facts = json.loads(ended.stdout)
    assert facts["data"] == "human-actions-10"
    assert facts["seed"] == 2000
    assert facts["frames"] == 2 * 2 * 300
    assert list(facts["reset_every"]) == ["1", "5", "15", "60", "never"]
    assert {"accuracy", "accuracy_after_1s", "head"} <= set(facts["frame_only"])
    assert facts["bundle"] in page.read_text("utf-8")
    assert "test b: 600 of 600" in ended.stderr


def test_a_person_gets_tables(tmp_path: Path) -> None:
    ended = run(write_tiny(tmp_path, labels=ACTIONS), "--streams", "2")
    assert ended.exit_code == 0, ended.exception
    assert "frames right" in ended.stdout
    assert "every 15 frames" in ended.stdout
    assert "best head without one" in ended.stdout


def test_a_bundle_of_other_labels_is_refused(tmp_path: Path) -> None:
    ended = run(write_tiny(tmp_path))
    assert isinstance(ended.exception, BundleError)
    assert "of your own" in str(ended.exception)


def test_a_report_that_cannot_be_written_is_found_out_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    ended = run(write_tiny(tmp_path), "--html", "/nowhere/report.html")
    assert isinstance(ended.exception, OutputError)
    assert str(ended.exception) == "cannot write /nowhere/report.html: No such file or directory"


def test_a_report_that_is_there_outlives_a_measurement_that_fails(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("the one before", "utf-8")
    assert run(write_tiny(tmp_path / "tiny"), "--html", page).exception is not None
    assert page.read_text("utf-8") == "the one before"
