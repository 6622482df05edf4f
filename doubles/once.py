"""Folders that are built once: whole or not at all, by one process while others wait."""

import fcntl
import hashlib
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def build_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """Let `build` fill a folder, unless it is there already. What `build` raises leaves nothing."""
    if folder.is_dir():
        return folder
    root = folder.parent
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / f"{folder.name}.lock"), tempfile.TemporaryDirectory(dir=root) as temporary:
        if not folder.is_dir():  # another process may have been faster
            target = Path(temporary) / folder.name
            target.mkdir()
            build(target)
            target.replace(folder)
    return folder


def key_of(files: Iterable[Path]) -> str:
    """One name for files, by name and content, and for the kind of Python and machine."""
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {platform.machine()}".encode())
    for file in sorted(files):
        digest.update(f"\n{file.name} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
