"""Where a measurement was made: the machine, its load, and the versions that decide the figures."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("av", "kafka-python", "numpy", "onnxruntime")


def machine() -> dict[str, Any]:
    """Describe this machine now, for the JSON of a measurement."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - git is where it is
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        **{library: version(library) for library in LIBRARIES},
    }


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
