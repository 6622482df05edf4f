"""Records which bundles have passed their checks on this machine, so that a restart is fast.

Checking the graphs and comparing with the oracle takes half a second and more, and always has the
same result for the same bundle, engine, libraries and processor.
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
    """Checks that have passed on this machine, in `folder`. A folder that fails forgets them.

    The key of a check is its name, a bundle's digest, and everything else that the result may
    depend on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "verified"

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Verdicts | None":
        """The cache in the user's cache folder; None when there is no home directory."""
        try:
            return cls(cache_folder(environ))
        except RuntimeError:
            return None

    def passed(self, *what: str) -> bool:
        """Return whether this check has passed before; a newer release's verdict counts as none."""
        try:
            with self._file(what).open("rb") as file:
                return file.read(MOST_BYTES) in (b"", _CONTENT)
        except OSError:
            return False

    def remember(self, *what: str) -> None:
        """Record that it has passed."""
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
    """The facts by which a runtime chooses its kernels."""
    try:
        described = CPU_INFO.read_text()
    except OSError:
        return platform.processor()
    return "\n".join(
        sorted(set(re.findall(r"^(?:model name|flags|Features)\s*:.*$", described, re.M)))
    )


def _own_code() -> str:
    """Digest of the engine code, so that a changed check invalidates old verdicts."""
    return hashlib.sha256(b"".join(module.read_bytes() for module in own_modules())).hexdigest()


def own_modules() -> list[Path]:
    """List the modules that decide what a check says: all of `engines` but training."""
    engines = Path(__file__).parents[1]
    return sorted(m for m in engines.rglob("*.py") if m.relative_to(engines).parts[0] != "train")
