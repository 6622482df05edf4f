"""What ends a process, each in a process of its own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from doubles import genuine
from doubles.parts import find_driver

ROOT = Path(__file__).parents[2]
BEGIN = """
from doubles import genuine
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
NOT_INITIALIZED, NO_DEVICE, INVALID_DEVICE = 3, 100, 101
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


def test_nothing_is_in_order_before_cu_init_and_cu_init_wants_a_device() -> None:
    code = """
import ctypes, os
from doubles import genuine
genuine.load()
libcuda = ctypes.CDLL("libcuda.so.1")
device = ctypes.c_int()
codes = [libcuda.cuDeviceGet(ctypes.byref(device), 0)]
os.environ["DOUBLE_DEVICES"] = "0"
codes.append(libcuda.cuInit(0))
os.environ["DOUBLE_DEVICES"] = "1"
codes.append(libcuda.cuInit(0))
codes.append(libcuda.cuDeviceGet(ctypes.byref(device), 1))
print(codes)
"""
    assert ended(code).stdout == f"{[NOT_INITIALIZED, NO_DEVICE, 0, INVALID_DEVICE]}\n"


def test_the_primary_context_lives_as_long_as_somebody_retains_it() -> None:
    code = """
from cuda.bindings import driver as raw
raw.cuDevicePrimaryCtxRetain(0)
calls = (lambda: raw.cuDevicePrimaryCtxRelease(0), lambda: raw.cuMemAlloc(16))
print([call()[0].name.removeprefix("CUDA_") for _ in range(2) for call in calls])
print(raw.cuDevicePrimaryCtxRelease(0)[0].name)
raw.cuDevicePrimaryCtxRetain(0)
print(raw.cuMemAlloc(16)[0].name)
"""
    lines = ended(BEGIN + code + END).stdout.splitlines()
    assert lines[0] == str(["SUCCESS", "SUCCESS", "SUCCESS", "ERROR_CONTEXT_IS_DESTROYED"])
    assert lines[1:] == ["CUDA_ERROR_INVALID_CONTEXT", "CUDA_SUCCESS"]


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
    command = ["nm", "--dynamic", "--defined-only", "--format=just-symbols", str(find_driver())]
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
