"""Remembers which bundles have passed here, so that a worker that is restarted need not wait.

A comparison with the oracle takes about half a second, most of what a restart takes, and always
ends the same for the same bundle, engine, libraries and processor.
"""

import hashlib
import logging
import platform
import re
from importlib.metadata import version
from pathlib import Path

from engines.bundle import Bundle

log = logging.getLogger(__name__)

LIBRARIES = ("numpy", "onnx", "onnxruntime")
CPU_INFO = Path("/proc/cpuinfo")


class Verdicts:
    """The bundles that an engine was found right on, in `folder`. Never fails: it forgets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "verified"

    def passed(self, bundle: Bundle, engine: str, threads: int) -> bool:
        """Whether all of this has passed before."""
        return self._file(bundle, engine, threads).is_file()

    def remember(self, bundle: Bundle, engine: str, threads: int) -> None:
        """Write down that it has passed."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file(bundle, engine, threads).touch()
        except OSError as exc:
            log.info("the next start compares with the oracle again: %s", exc)

    def _file(self, bundle: Bundle, engine: str, threads: int) -> Path:
        facts = [bundle.digest, engine, str(threads), _processor(), _own_code()]
        facts += [version(library) for library in LIBRARIES]
        return self._folder / hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _processor() -> str:
    """What decides which kernels a runtime chooses."""
    try:
        told = CPU_INFO.read_text()
    except OSError:
        return platform.processor()
    return "\n".join(sorted(set(re.findall(r"^(?:model name|flags|Features)\s*:.*$", told, re.M))))


def _own_code() -> str:
    """The digest of this package's modules: a better comparison is not taken for made."""
    modules = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(module.read_bytes() for module in modules)).hexdigest()
