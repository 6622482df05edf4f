"""Genuine parts are built once, whole, from what is pinned; where they cannot be, it says why."""

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from doubles import building
from doubles.building import PartsMissingError
from doubles.once import build_once, key_of
from doubles.parts import NEWEST, OLDEST, find_driver

REPORT = "import ctypes, sys; ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL); "


def printed(code: str, *arguments: Path, path: Path) -> str:
    """What a Python of its own prints that finds packages in `path`."""
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize("version", [NEWEST, OLDEST])
def test_genuine_bindings_of_each_version_can_be_imported(parts: Path, version: str) -> None:
    code = "import tensorrt_bindings as trt; print(trt.__version__)"
    assert printed(code, path=parts / f"trt-{version}") == version


def test_genuine_pycuda_and_cuda_bindings_run_on_the_double_of_the_driver(parts: Path) -> None:
    code = REPORT + (
        "import pycuda.driver; from cuda.bindings import driver; pycuda.driver.init();"
        "print(pycuda.driver.Device.count(), driver.cuDeviceGetCount())"
    )
    assert printed(code, find_driver(), path=parts / "site") == (
        "1 (<CUresult.CUDA_SUCCESS: 0>, 1)"
    )


def test_pycuda_asks_for_the_driver_by_name(parts: Path) -> None:
    (extension,) = (parts / "site" / "pycuda").glob("_driver*.so")
    assert b"\0libcuda.so.1\0" in extension.read_bytes()


def test_what_is_there_is_not_built_again(tmp_path: Path) -> None:
    folder = build_once(tmp_path / "made", lambda target: (target / "file").touch())
    assert build_once(folder, lambda target: pytest.fail(f"built {target} again")) == folder
    assert (folder / "file").is_file()


def test_a_failed_build_leaves_no_folder_and_is_tried_again(tmp_path: Path) -> None:
    def fail(target: Path) -> None:
        (target / "half").touch()
        raise PartsMissingError("out of luck")

    with pytest.raises(PartsMissingError):
        build_once(tmp_path / "made", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["made.lock"]
    assert not any(build_once(tmp_path / "made", lambda _: None).iterdir())


def test_of_two_that_need_a_folder_at_once_one_builds_it(tmp_path: Path) -> None:
    built: list[Path] = []

    def build(target: Path) -> None:
        built.append(target)
        other.submit(build_once, tmp_path / "made", build).add_done_callback(done.append)
        subprocess.run([sys.executable, "-c", ""], check=True)  # gives the other time to come here

    done: list[object] = []
    with ThreadPoolExecutor() as other:
        build_once(tmp_path / "made", build)
    assert (len(built), len(done)) == (1, 1)


def test_another_content_has_another_key(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    one = key_of([file])
    file.write_text("two")
    assert key_of([file]) != one


def test_a_command_that_fails_is_told_with_its_last_lines() -> None:
    with pytest.raises(PartsMissingError, match=r"ended with 3:\nline 8\n(.*\n)+line 19$"):
        building.run(sys.executable, "-c", "[print('line', i) for i in range(20)]; exit(3)")


def test_a_command_that_is_not_there_is_told() -> None:
    with pytest.raises(PartsMissingError, match="no-such-compiler"):
        building.run("no-such-compiler")


def test_without_a_compiler_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PartsMissingError, match="gcc is not installed"):
        building.build_parts(tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"as it was pinned", b"tampered with"])
def test_a_package_is_taken_only_as_it_was_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    wheel = tmp_path / "thing-1-py3-none-any.whl"
    wheel.write_bytes(content)
    pin = hashlib.sha256(b"as it was pinned").hexdigest()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "thing.txt").write_text(f"{wheel} --hash=sha256:{pin}\n")
    monkeypatch.setattr(building, "HERE", tmp_path)
    wanted = "DO NOT MATCH THE HASHES" if content == b"tampered with" else "[Ww]heel.* invalid"
    with pytest.raises(PartsMissingError, match=wanted):
        building.install("thing", tmp_path / "target")
