"""How the genuine parts are built: pycuda from its source, the rest from wheels, pinned by hash.

TensorRT's libraries cannot be had from PyPI. Its bindings need them only to be loaded, so they get
libraries that have the right names and functions that do nothing.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from doubles.typestubs import repaired

HERE = Path(__file__).parent
BINDINGS = ("11.4.0.106", "10.16.1.11")  # of TensorRT: those of today, the oldest we run with
LONGEST_S = 900.0
TOLD_LINES = 12
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
TRY_ONCE = ("--retries", "1", "--timeout", "20")
FLAGS = ("-shared", "-fPIC", "-O1", "-g", "-Wall", "-Wextra", "-Werror")
PYCUDA_SETTINGS = """\
CUDA_ROOT = {toolkit!r}
CUDA_ENABLE_CURAND = False
CUDADRV_LIB_DIR = [{libraries!r}]
CXXFLAGS = ["-O1"]
"""


class PartsMissingError(Exception):
    """Genuine parts cannot be built here. The message says why."""


def build_parts(target: Path) -> None:
    """Fill a folder; see `parts.find_parts`. Raises `PartsMissingError`."""
    for compiler in ("gcc", "g++"):
        if shutil.which(compiler) is None:
            raise PartsMissingError(f"{compiler} is not installed, and it has to build pycuda")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        install("tools", work / "tools")
        install("cuda", target / "site")
        for version in BINDINGS:
            install(f"trt-{version}", target / f"trt-{version}")
            add_libraries(target / f"trt-{version}" / "tensorrt_bindings", version)
            write_stubs(target, version, work)
        build_pycuda(target / "site", work)


def compile_driver(target: Path) -> None:
    """Compile the double of libcuda into `target`. Raises `PartsMissingError`."""
    sources = sorted(HERE.glob("cuda/*.c"))
    run("gcc", *FLAGS, "-Wl,-soname,libcuda.so.1", *sources, "-lpthread", "-o", target)


def install(name: str, target: Path, *options: str, env: Mapping[str, str] = os.environ) -> None:
    """Let pip put what `requirements/NAME.txt` pins into a folder."""
    wanted = HERE / "requirements" / f"{name}.txt"
    pinned = ("--no-deps", "--require-hashes", "--requirement", wanted)
    run(*PIP, "install", *TRY_ONCE, *options, *pinned, "--target", target, env=env)


def build_pycuda(target: Path, work: Path) -> None:
    """Build it without a CUDA toolkit, against the headers of NVIDIA's wheels.

    It is linked with an empty libcuda, which nothing is resolved from: the linker must be told to
    note its name all the same.
    """
    install("toolkit", work / "toolkit")
    (work / "empty.c").touch()
    run("gcc", *FLAGS, "-Wl,-soname,libcuda.so.1", work / "empty.c", "-o", work / "libcuda.so")
    settings = PYCUDA_SETTINGS.format(
        toolkit=str(work / "toolkit" / "nvidia" / "cu13"), libraries=str(work)
    )
    (work / ".aksetup-defaults.py").write_text(settings)
    environment = os.environ | {
        "HOME": str(work),  # where its setup looks for settings
        "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", str(Path.home() / ".config")),
        "PYTHONPATH": str(work / "tools"),
        "LDFLAGS": "-Wl,--no-as-needed",
    }
    # not into pip's cache: somebody with a GPU would get it from there
    options = ("--no-binary", "pycuda", "--no-build-isolation", "--no-cache-dir")
    install("pycuda", target, *options, env=environment)


def add_libraries(package: Path, version: str) -> None:
    """Put empty libraries beside TensorRT's bindings, which look for them there."""
    extension = package / "tensorrt.so"
    undefined = run("nm", "--dynamic", "--undefined-only", "--format=just-symbols", extension)
    # NVIDIA's are in camel case, unlike those of Python, C and C++
    names = re.findall(r"^[a-z]+[A-Z]\w*$", undefined, re.MULTILINE)
    source = package / "empty.c"
    source.write_text("".join(f"void *{n}(void); void *{n}(void) {{ return 0; }}\n" for n in names))
    for library in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        file = f"lib{library}.so.{version.split('.')[0]}"
        run("gcc", *FLAGS, f"-Wl,-soname,{file}", source, "-o", package / file)
    source.unlink()


def write_stubs(target: Path, version: str, work: Path) -> None:
    """Write the types of one version's bindings: `stubs-VERSION/tensorrt/__init__.pyi`."""
    paths = f"{work / 'tools'}{os.pathsep}{target / f'trt-{version}'}"
    generate = (sys.executable, "-W", "ignore", "-m", "pybind11_stubgen", "--ignore-all-errors")
    where = ("tensorrt_bindings.tensorrt", "--output-dir", work / version)
    run(*generate, *where, env=os.environ | {"PYTHONPATH": paths})
    raw = (work / version / "tensorrt_bindings" / "tensorrt.pyi").read_text()
    stubs = target / f"stubs-{version}" / "tensorrt"
    stubs.mkdir(parents=True)
    try:
        (stubs / "__init__.pyi").write_text(repaired(raw, version))
    except SyntaxError as exc:
        raise PartsMissingError(f"the types of TensorRT {version} are no Python: {exc}") from exc


def run(*command: str | Path, env: Mapping[str, str] = os.environ) -> str:
    """Run a command and return what it prints. Raises `PartsMissingError` with its last lines."""
    words: Sequence[str] = [str(word) for word in command]
    try:
        ended = subprocess.run(
            words,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise PartsMissingError(str(exc)) from exc
    if ended.returncode:
        last = "\n".join(ended.stdout.splitlines()[-TOLD_LINES:])
        raise PartsMissingError(f"{' '.join(words[:4])} ... ended with {ended.returncode}:\n{last}")
    return ended.stdout
