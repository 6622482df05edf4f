"""Remembers which bundles have passed here, so that a worker that is restarted need not wait.

Checking the graphs and comparing with the oracle takes half a second and more, and always ends the
same for the same bundle, engine, libraries and processor.
"""

import hashlib
import logging
import platform
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from engines.cache import cache_folder

log = logging.getLogger(__name__)

LIBRARIES = ("numpy", "onnx", "onnxruntime")
SCHEMA = 1  # what a verdict's file says; an empty one is of the release before, and the same
CPU_INFO = Path("/proc/cpuinfo")


MOST_BYTES = 64  # that are read of a verdict
_CONTENT = f"{SCHEMA}\n".encode()


class Verdicts:
    """What has passed on this machine, in `folder`. Never fails: it forgets.

    Each is asked for and remembered by what was checked: the check's name, a bundle's digest, and
    whatever else the answer may hang on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "verified"

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Verdicts | None":
        """Those of this machine; None for who has no home, as in a container without its user."""
        try:
            return cls(cache_folder(environ))
        except RuntimeError:
            return None

    def passed(self, *what: str) -> bool:
        """Whether this has passed before. What a newer release means by its verdict is unknown."""
        try:
            with self._file(what).open("rb") as file:
                return file.read(MOST_BYTES) in (b"", _CONTENT)
        except OSError:
            return False

    def remember(self, *what: str) -> None:
        """Write down that it has passed."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file(what).write_bytes(_CONTENT)
        except OSError as exc:
            log.info("the next start checks again: %s", exc)

    def _file(self, what: tuple[str, ...]) -> Path:
        versions = (version(library) for library in LIBRARIES)
        facts = (*what, _processor(), _own_code(), *versions)
        return self._folder / hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _processor() -> str:
    """What decides which kernels a runtime chooses."""
    try:
        told = CPU_INFO.read_text()
    except OSError:
        return platform.processor()
    return "\n".join(sorted(set(re.findall(r"^(?:model name|flags|Features)\s*:.*$", told, re.M))))


def _own_code() -> str:
    """The digest of what runs bundles: a better comparison is not taken for made."""
    return hashlib.sha256(b"".join(module.read_bytes() for module in own_modules())).hexdigest()


def own_modules() -> list[Path]:
    """List the modules that decide what a check says: all of `engines` but training."""
    engines = Path(__file__).parents[1]
    return sorted(m for m in engines.rglob("*.py") if m.relative_to(engines).parts[0] != "train")
