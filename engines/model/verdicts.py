"""Records which bundles have passed their checks on this machine, so that a restart is fast.

Checking the graphs and comparing with the oracle takes a second and more, and always has the same
result for the same bundle, engine, libraries and processor. A verdict is believed only from a
folder that no other user can write: anybody can compute the name of its file.
"""

import hashlib
import logging
import platform
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from engines.cache import cache_folder
from engines.trusted_files import PrivateFolder, UntrustedError

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
        self._folder = PrivateFolder(folder / "verified")
        self._warned = False

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
            return self._folder.read(_name(what), MOST_BYTES) in (b"", _CONTENT)
        except UntrustedError as exc:
            self._warn(exc)
            return False
        except OSError:
            return False

    def remember(self, *what: str) -> None:
        """Record that it has passed."""
        try:
            self._folder.make()
            self._folder.write(_name(what), _CONTENT)
        except UntrustedError as exc:
            self._warn(exc)
        except OSError as exc:
            log.info("the next start checks again: %s", exc)

    def _warn(self, exc: UntrustedError) -> None:
        if not self._warned:
            log.warning(
                "records of earlier checks are not used, so each start checks its bundle: %s;"
                " LONGTAKE_CACHE names a folder, which must be this user's own",
                exc,
            )
        self._warned = True


def _name(what: tuple[str, ...]) -> str:
    versions = (version(library) for library in LIBRARIES)
    facts = (*what, _processor(), _own_code(), *versions)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


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
