"""The code of an earlier commit, unpacked from git into a folder to run its commands."""

import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class CodeVersion:
    """One version of our code in a folder. Its commands run under the interpreter of the tests."""

    name: str
    folder: Path

    @property
    def command(self) -> list[str]:
        """The start of a `longtake` command line; its working directory must be `folder`."""
        return [sys.executable, "-m", "pipeline"]

    @property
    def environment(self) -> dict[str, str]:
        """Our environment, with this version's modules before the installed ones."""
        return dict(os.environ) | {"PYTHONPATH": str(self.folder)}


TODAYS = CodeVersion("new", ROOT)


def take_out(commit: str, folder: Path) -> CodeVersion:
    """Unpack a commit's packages. If git lacks the commit: a failure in CI, elsewhere a skip."""
    archive = subprocess.run(
        ["git", "archive", commit, "engines", "pipeline"],  # noqa: S607 - git is where it is
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if archive.returncode:
        words = f"git has no commit {commit[:7]}: {archive.stderr.decode(errors='replace').strip()}"
        if os.environ.get("CI"):
            pytest.fail(f"{words}; fetch the whole history")
        pytest.skip(words)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return CodeVersion("old", folder)
