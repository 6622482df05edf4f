"""What ends a process, each in a process of its own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles import genuine
from tests.doubles.parts import find_driver

ROOT = Path(__file__).parents[3]
BEGIN = """
from tests.doubles import genuine
genuine.load()
from pycuda import driver as cuda
cuda.init()
context = cuda.Device(0).retain_primary_context()
context.push()
"""
END = """
cuda.Context.pop()
context.detach()
"""
pytestmark = pytest.mark.usefixtures("doubles")


def ended(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_a_process_that_gives_all_back_ends_well() -> None:
    process = ended(BEGIN + "cuda.mem_alloc(16).free()" + END)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize("touch", ["string_at(int(block), 1)", "memset(int(block), 0, 1)"])
def test_the_host_can_neither_read_nor_write_device_memory(touch: str) -> None:
    code = f"import ctypes\nblock = cuda.mem_alloc(16)\nctypes.{touch}\ndel block\n"
    assert ended(BEGIN + code + END).returncode == -signal.SIGSEGV


def test_a_context_that_is_left_pushed_aborts_at_the_end() -> None:
    assert ended(BEGIN).returncode == -signal.SIGABRT


def test_what_the_double_does_not_have_is_named_once() -> None:
    process = ended(
        BEGIN
        + """
for _ in range(2):
    try:
        cuda.module_from_buffer(b"kernel")
    except cuda.Error as exc:
        print(exc)
"""
        + END
    )
    assert process.stderr == "double: no cuModuleLoadDataEx\n"
    assert process.stdout.count("NOT_SUPPORTED") == 2


def test_only_names_of_the_driver_and_of_the_double_are_there_for_others_to_link_to() -> None:
    command = ["nm", "--dynamic", "--defined-only", "--format=just-symbols", find_driver()]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "cuInit" in names
    assert [name for name in names if not name.startswith(("cu", "double_"))] == []


REAL = (
    "int cuInit(unsigned f) { return (int)f; } int cuDeviceGetCount(int *n) { *n = %d; return 0; }"
)


@pytest.mark.parametrize("devices", [0, 1])
def test_the_double_is_not_loaded_where_a_real_gpu_is(
    devices: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real.c").write_text(REAL % devices)
    library = tmp_path / "libcuda.so.1"
    subprocess.run(["gcc", "-shared", "-o", library, tmp_path / "real.c"], check=True)  # noqa: S607
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    process = ended(BEGIN + END)
    assert (process.returncode == 0) == (devices == 0)
    assert (genuine.RealGpuError.__name__ in process.stderr) == (devices == 1)
