"""The engine's calls fit the types of the genuine TensorRT bindings, and misfits would be found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from doubles.parts import NEWEST, OLDEST, find_parts

ROOT = Path(__file__).parents[1]
HEAD = """\
import tensorrt as trt

def planted(
    context: trt.IExecutionContext, engine: trt.ICudaEngine, config: trt.IBuilderConfig,
    runtime: trt.Runtime, plan: trt.IHostMemory, parser: trt.OnnxParser,
) -> None:
"""
FAULTS = {
    "context.execute_async_v2([], 0)": "attr-defined",
    "context.set_tensor_adress('frames', 0)": "attr-defined",
    "context.execute_async_v3(stream=0)": "call-arg",
    "context.set_input_shape('frames', 8)": "call-overload",
    "context.execute_async_v3()": "call-arg",
    "config.set_flag(trt.BuilderFlag.FP16)": "attr-defined",
    "config.clear_flag(trt.MemoryPoolType.WORKSPACE)": "arg-type",
    "config.set_timing_cache(plan, ignore_mismatch=False)": "arg-type",
    "engine.max_batch_size": "attr-defined",
    "engine.num_io_tensors()": "operator",
    "parser.get_error(0).description": "attr-defined",
    "runtime.deserialize_cuda_engine(b'').create_execution_context()": "union-attr",
    "trt.get_parser_version()": "attr-defined",
}
FINE = (
    "context.set_input_shape('frames', (8, 64, 64, 3))",
    "context.execute_async_v3(stream_handle=0)",
    "config.clear_flag(trt.BuilderFlag.TF32)",
    "bytes(memoryview(plan))",
    "parser.get_error(0).desc().strip()",
    "trt.__version__.split('.')",
)


def checked(version: str, *what: str) -> list[str]:
    """Lines of what mypy says with the types of one version of TensorRT."""
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", *what],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": str(find_parts() / f"stubs-{version}")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture(scope="module")
def planted(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What is said of a file with all faults, and then all that is right."""
    del parts
    file = tmp_path_factory.mktemp("planted") / "planted.py"
    file.write_text(HEAD + "".join(f"    {line}\n" for line in (*FAULTS, *FINE)))
    return checked(NEWEST, str(file))


@pytest.mark.parametrize("version", [NEWEST, OLDEST])
@pytest.mark.usefixtures("parts")
def test_the_engine_calls_tensorrt_as_its_bindings_want_to_be_called(version: str) -> None:
    assert checked(version, "--package", "engines.tensorrt") == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_call_that_tensorrt_does_not_know_is_found(planted: list[str], fault: str) -> None:
    number = HEAD.count("\n") + 1 + list(FAULTS).index(fault)
    said = [line for line in planted if f"planted.py:{number}:" in line and " error: " in line]
    assert [line.rpartition("[")[2] for line in said] == [f"{FAULTS[fault]}]"]


def test_calls_that_tensorrt_takes_are_not_complained_about(planted: list[str]) -> None:
    assert sum(" error: " in line for line in planted) == len(FAULTS)
