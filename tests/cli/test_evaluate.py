"""`longtake evaluate` where it cannot even begin."""

import subprocess
import sys
from pathlib import Path

from tests.cli.commands import Ended, Longtake, environment


def test_without_the_extra_it_says_how_to_get_it(tiny: Path) -> None:
    hidden = "import sys; sys.modules['torch'] = None; from pipeline.cli.main import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", hidden, "evaluate", tiny],
        capture_output=True, env=environment(), timeout=30, encoding="utf-8", check=False,
    )  # fmt: skip
    ended = Ended(process.returncode, process.stdout, process.stderr)
    assert ended.code == 20
    assert "`longtake evaluate` needs torch" in ended.complaint
    assert "pip install -e '.[train]'" in ended.complaint


def test_a_bundle_that_is_not_there_is_named_first(longtake: Longtake) -> None:
    ended = longtake("evaluate", "mine")
    assert ended.code == 30
    assert "no bundle named 'mine' is shipped" in ended.complaint


def test_seeds_that_training_may_have_used_are_refused(longtake: Longtake) -> None:
    ended = longtake("evaluate", "--seed", "7")
    assert ended.code == 2
    assert "2000" in ended.err
