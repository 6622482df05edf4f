"""The genuine parts of NVIDIA's stack that tests use, built once into a cache below `build/`.

`python -m tests.doubles.parts` builds what is missing and prints the folders. What is built has the
hash of all that it is made of in its name, so it is never out of date.
"""

import fcntl
import hashlib
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.doubles.building import BINDINGS, PartsMissingError, build_parts, compile_driver

HERE = Path(__file__).parent
ROOT = HERE.parents[1] / "build" / "doubles"
NEWEST, OLDEST = BINDINGS


def find_parts() -> Path:
    """Find or build the folder of importable packages, which takes a minute.

    It has `site` (pycuda, cuda.bindings), `trt-VERSION` (tensorrt_bindings, with stubs for the
    libraries that it is linked to) and `stubs-VERSION` (its types). Raises `PartsMissingError`.
    """
    made_of = [*sorted(HERE.glob("requirements/*.txt")), HERE / "building.py"]
    return _found("parts", (*made_of, HERE / "typestubs.py"), build_parts)


def find_driver() -> Path:
    """Find or compile the double of libcuda: a second's work. Raises `PartsMissingError`."""
    made_of = [*sorted(HERE.glob("cuda/*.[ch]")), HERE / "building.py"]
    return _found("driver", tuple(made_of), _compile) / "libcuda.so.1"


def _compile(target: Path) -> None:
    compile_driver(target / "libcuda.so.1")


def _found(name: str, made_of: tuple[Path, ...], build: Callable[[Path], None]) -> Path:
    found = _once(name, made_of, build)
    if isinstance(found, str):
        raise PartsMissingError(found)
    return found


@cache  # failures, too: without network, each would take its time again
def _once(name: str, made_of: tuple[Path, ...], build: Callable[[Path], None]) -> Path | str:
    folder = ROOT / f"{name}-{_key(made_of)}"
    if folder.is_dir():
        return folder
    ROOT.mkdir(parents=True, exist_ok=True)
    with _locked(ROOT / f"{name}.lock"), tempfile.TemporaryDirectory(dir=ROOT) as temporary:
        if folder.is_dir():  # now
            return folder
        target = Path(temporary) / name
        target.mkdir()
        try:
            build(target)
        except PartsMissingError as exc:
            return str(exc)
        target.replace(folder)
    return folder


def _key(made_of: tuple[Path, ...]) -> str:
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {platform.machine()}".encode())
    for path in made_of:
        digest.update(f"\n{path.relative_to(HERE)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process build while others wait for what it has built."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        print(find_parts(), find_driver(), sep="\n")  # noqa: T201 - its answer
    except PartsMissingError as exc:
        sys.exit(str(exc))
