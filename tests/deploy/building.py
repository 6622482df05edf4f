"""Executes a Dockerfile's build stage without Docker; a folder replaces the root of the image.

Supports COPY and RUN only. Absolute paths are mapped into the folder, so that installed programs
run from there, and not from their place in the image.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.deploy.dockerfile import ROOT, Step


def carry_out(steps: list[Step], root: Path, *, python: Path) -> None:
    """Execute the steps; `python` and `pip` in them are the programs beside `python`."""
    for step in steps:
        if step.word == "COPY":
            *sources, target = step.rest.split()
            copy([ROOT / source for source in sources], moved(target, root))
        elif step.word == "RUN":
            for command in step.commands:
                run([moved(word, root) for word in command], python.parent)
        else:
            assert step.word == "FROM", f"not carried out here: {step.word}"


def moved(word: str, root: Path) -> str:
    return f"{root}{word}" if word.startswith("/") else word


def copy(sources: list[Path], target: str) -> None:
    """Copy as COPY does: files into a folder, or the contents of a folder; no __pycache__."""
    for source in sources:
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
        else:
            Path(target).mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def run(command: list[str], tools: Path) -> None:
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
    assert ended.returncode == 0, f"{command}: {ended.stderr}"
