"""`python -m tests.mutants`: shows which test finds each fault; exits with 1 if none does."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tests.mutants.faults import MUTANTS
from tests.mutants.mutant import Mutant
from tests.thorough import THOROUGH

ROOT = Path(__file__).parents[2]
KILLED = 1  # pytest's code for failed tests; other codes are for tests that could not run
LIMIT_S = 600


class MutantError(Exception):
    """A mutant's text is no longer in the code, or its tests cannot run."""


def main(
    only: Annotated[
        str, typer.Option(help="Only those with these letters in their name or path.")
    ] = "",
) -> None:
    """Put each fault into a copy of the code and show the test that finds it.

    Example: `python -m tests.mutants --only chain`
    """
    console = Console()
    table = Table("fault", "the first test that sees it")
    survivors = 0
    with TemporaryDirectory(prefix="longtake-mutants-") as folder, console.status("") as status:
        copy = _copied(Path(folder) / "longtake")
        for mutant in (m for m in MUTANTS if only in f"{m.name} {m.path}"):
            status.update(mutant.name)
            try:
                test = _killer(mutant, copy)
            except MutantError as exc:
                test = f"[red]{exc}"
                survivors += 1
            else:
                survivors += test is None
            table.add_row(mutant.name, (test or "[bold red]nobody").rpartition("::")[2])
    console.print(table)
    console.print(f"{len(table.rows) - survivors} of {table.row_count} faults seen")
    raise typer.Exit(1 if survivors else 0)


def _copied(folder: Path) -> Path:
    command = ["git", "ls-files", "-z"]
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (ROOT / "build").mkdir(exist_ok=True)
    (folder / "build").symlink_to(ROOT / "build")  # building the doubles' parts takes a minute
    return folder


def _killer(mutant: Mutant, copy: Path) -> str | None:
    """Return the first test that fails with the fault in the code; None if all pass."""
    path = copy / mutant.path
    sound = path.read_text()
    if sound.count(mutant.old) != 1:
        raise MutantError(f"{mutant.path} has {sound.count(mutant.old)} places for it, wanted 1")
    path.write_text(sound.replace(mutant.old, mutant.new))
    try:
        return _first_failure(mutant, copy)
    finally:
        path.write_text(sound)


def _first_failure(mutant: Mutant, copy: Path) -> str | None:
    """Run the mutant's tests one by one with the copy's code, also in their child processes."""
    environment = os.environ | {"PYTHONPATH": str(copy), THOROUGH: "1"}
    for tests in mutant.tests:
        if not (copy / tests.partition("::")[0]).exists():
            raise MutantError(f"there is no {tests}")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "-p", "no:cacheprovider"]
        how = ["--hypothesis-profile=first-failure", "--show-capture=no", "--tb=no", tests]
        ran = subprocess.run(
            [*command, *how],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        if ran.returncode == KILLED:
            found = re.search(r"^(?:FAILED|ERROR) (\S+)", ran.stdout, re.MULTILINE)
            if found is None:
                raise MutantError(f"{tests} failed without saying where")
            return found[1]
        if ran.returncode != 0:
            raise MutantError(f"{tests} could not be run: {ran.stdout[-300:]}{ran.stderr[-300:]}")
    return None


if __name__ == "__main__":
    typer.run(main)
