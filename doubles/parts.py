"""The genuine parts of NVIDIA's stack that tests use, built once into a cache below `build/`.

`python -m doubles.parts` builds what is missing and prints where it is. Names have a hash of
all that a folder is made of, so none is ever out of date.
"""

import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from doubles.building import BINDINGS, PartsMissingError, build_parts, compile_driver, install
from doubles.once import build_once, key_of

HERE = Path(__file__).parent
ROOT = HERE.parent / "build" / "doubles"
NEWEST, OLDEST = BINDINGS
OF_PARTS = ("cuda", "pycuda", "toolkit", "tools", *(f"trt-{version}" for version in BINDINGS))


def find_parts() -> Path:
    """Find or build the folder of importable packages, which takes a minute or two.

    It has `site` (pycuda, cuda.bindings), `trt-VERSION` (tensorrt_bindings, with empty libraries
    that it is linked to) and `stubs-VERSION` (its types). Raises `PartsMissingError`.
    """
    pins = (f"requirements/{name}.txt" for name in OF_PARTS)
    return _found("parts", build_parts, *pins, "building.py", "typestubs.py")


def find_rtx() -> Path:
    """Find or fetch TensorRT for RTX: genuine bindings and libraries, 100 MB.

    The folder has `tensorrt_rtx_bindings`. Raises `PartsMissingError`.
    """
    return _found("rtx", partial(install, "rtx"), "requirements/rtx.txt")


def find_driver() -> Path:
    """Find or compile the double of libcuda: a second's work. Raises `PartsMissingError`."""
    return _found("driver", _compile, "cuda/*.[ch]", "building.py") / "libcuda.so.1"


def _compile(target: Path) -> None:
    compile_driver(target / "libcuda.so.1")


def _found(name: str, build: Callable[[Path], None], *made_of: str) -> Path:
    found = _tried(name, build, *made_of)
    if isinstance(found, str):
        raise PartsMissingError(found)
    return found


@cache  # a failure, too: without network, each would take its time again
def _tried(name: str, build: Callable[[Path], None], *made_of: str) -> Path | str:
    files = [file for pattern in made_of for file in HERE.glob(pattern)]
    try:
        return build_once(ROOT / f"{name}-{key_of(files)}", build)
    except PartsMissingError as exc:
        return str(exc)


if __name__ == "__main__":
    try:
        print(find_parts(), find_driver(), find_rtx(), sep="\n")  # noqa: T201 - its answer
    except PartsMissingError as exc:
        sys.exit(str(exc))
