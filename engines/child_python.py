"""How a child process of ours is started: with our own modules, never with those of a folder.

`python -m` looks for modules in the current folder first. That can be the folder of a stranger's
bundle, with a `numpy.py` in it.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def module_command(module: str) -> list[str]:
    """Return the command that runs a module of ours; it needs `module_environment`."""
    return [sys.executable, "-P", "-m", module]


def module_environment(environ: Mapping[str, str], **more: str) -> dict[str, str]:
    """Return the child's environment, in which our packages are found first."""
    inherited = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**environ, **more, "PYTHONPATH": os.pathsep.join([str(ROOT), *inherited])}
