"""What is missing on a machine is said with the way out, and `auto` takes the processor there."""

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from doubles import genuine
from engines.errors import EngineUnavailableError
from engines.load import choose, load_engine
from engines.model.bundle import Bundle
from engines.tensorrt.parts import find_machine
from tests.engines.bundles import tiny

Hide = Callable[[str, BaseException], None]


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hide]:
    """Let the import of a module fail, and with it that of all modules in it."""
    added: list[Broken] = []

    def hiding(name: str, failure: BaseException) -> None:
        for known in [known for known in sys.modules if known.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, known)
        added.append(Broken(name, failure))
        sys.meta_path.insert(0, added[-1])

    yield hiding
    for finder in added:
        sys.meta_path.remove(finder)


class Broken(MetaPathFinder, Loader):
    """A module that fails as it is imported."""

    def __init__(self, name: str, failure: BaseException) -> None:
        self._name, self._failure = name, failure

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        return ModuleSpec(name, self) if name == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        del module
        raise self._failure


def missing(name: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"No module named {name!r}", name=name)


def told() -> str:
    with pytest.raises(EngineUnavailableError) as caught:
        find_machine()
    return str(caught.value)


@pytest.mark.usefixtures("doubles")
def test_a_machine_that_has_all_is_described() -> None:
    machine = find_machine()
    assert (machine.gpu, machine.capability, machine.driver) == ("Double GPU", (8, 9), 13000)
    assert machine.tensorrt == genuine.NEWEST
    assert machine.parser == 110400


def test_without_tensorrt_it_says_what_to_install(hide: Hide) -> None:
    hide("tensorrt", missing("tensorrt"))
    assert told().startswith("TensorRT is not installed: on a machine with an NVIDIA GPU")


@pytest.mark.parametrize(
    "failure",
    [
        ImportError("libnvinfer.so.11: cannot open shared object file"),
        OSError("libnvinfer.so.11: file too short"),
        missing("tensorrt_libs"),
    ],
    ids=repr,
)
def test_a_tensorrt_that_does_not_load_is_not_called_missing(
    hide: Hide, failure: Exception
) -> None:
    hide("tensorrt", failure)
    assert told().startswith(f"TensorRT is installed but cannot be loaded ({failure}): ")


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize("version", ["10.15.9.1", "8.6.1", "9.99"])
def test_a_tensorrt_that_is_too_old_is_refused(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("DOUBLE_TENSORRT_VERSION", version)
    assert told().startswith(f"TensorRT {version} is too old, 10.16 or newer is wanted: in ")


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize("version", ["10.16.0.1", "11.0.0.1", "12.1.0.0"])
def test_a_tensorrt_that_is_new_enough_is_taken(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("DOUBLE_TENSORRT_VERSION", version)
    assert find_machine().tensorrt == version


@pytest.mark.usefixtures("doubles")
def test_without_pycuda_it_says_what_to_install(hide: Hide) -> None:
    hide("pycuda", missing("pycuda"))
    hide("cuda", missing("cuda"))
    assert told().startswith("pycuda is not installed, nor cuda-bindings, which can take its place")


@pytest.mark.usefixtures("doubles")
def test_a_pycuda_that_lacks_a_part_of_its_own_is_not_called_missing(hide: Hide) -> None:
    hide("pycuda", missing("pytools"))
    assert told().startswith("pycuda cannot be loaded (No module named 'pytools')")


WITHOUT_DRIVER = """
import sys, types
sys.path.append(sys.argv[1])
sys.modules["tensorrt"] = types.SimpleNamespace(__version__="11.0")
from engines.errors import EngineUnavailableError
from engines.tensorrt.parts import find_machine
try:
    find_machine()
except EngineUnavailableError as exc:
    print(exc)
"""


def test_the_genuine_pycuda_without_a_driver_says_where_it_comes_from(parts: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_DRIVER, str(parts / "site")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("pycuda cannot be loaded (libcuda.so.1: cannot open shared")
    assert "comes with the NVIDIA driver" in ran.stdout


@pytest.mark.usefixtures("doubles")
def test_without_a_gpu_it_says_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOUBLE_DEVICES", "0")
    wanted = r"finds no GPU \(.*NO_DEVICE\): .*`nvidia-smi`.*--gpus all"
    assert re.search(wanted, told())


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize(("capability", "taken"), [("7.0", False), ("7.5", True), ("10.0", True)])
def test_gpus_older_than_turing_are_refused(
    monkeypatch: pytest.MonkeyPatch, capability: str, *, taken: bool
) -> None:
    monkeypatch.setenv("DOUBLE_CAPABILITY", capability)
    if taken:
        assert find_machine().capability == tuple(map(int, capability.split(".")))
    else:
        assert told().startswith(f"Double GPU has compute capability {capability}; TensorRT needs")


@pytest.mark.usefixtures("doubles")
def test_auto_is_tensorrt_where_all_is_there(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert choose() == "tensorrt"
    assert caplog.messages == [f"engine auto: tensorrt {genuine.NEWEST}, on Double GPU"]


def test_auto_is_onnxruntime_elsewhere_and_says_why_in_one_line(
    hide: Hide, caplog: pytest.LogCaptureFixture
) -> None:
    hide("tensorrt", missing("tensorrt"))
    caplog.set_level(logging.INFO)
    assert choose() == "onnxruntime"
    (line,) = caplog.messages
    assert line.startswith("engine auto: onnxruntime, on the processor: TensorRT is not installed")
    assert "\n" not in line


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("LONGTAKE_CACHE", str(tmp_path / "cache"))
    return tiny(tmp_path / "tiny")


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize("name", ["auto", "tensorrt"])
def test_both_names_load_it_and_keep_its_plans(bundle: Bundle, tmp_path: Path, name: str) -> None:
    engine = load_engine(name, bundle, threads=1)  # type: ignore[arg-type]
    engine.close()
    assert engine.name == "tensorrt"
    assert len(list((tmp_path / "cache" / "plans").glob("*.plan"))) == 2


def test_who_asks_for_tensorrt_gets_no_other(hide: Hide, bundle: Bundle) -> None:
    hide("tensorrt", missing("tensorrt"))
    assert load_engine("auto", bundle, threads=1).name == "onnxruntime"
    with pytest.raises(EngineUnavailableError, match="not installed"):
        load_engine("tensorrt", bundle, threads=1)
