"""The engine uses names of TensorRT that both genuine versions have, and so does the double."""

from pathlib import Path

import pytest

from doubles.conformance.source import complaints, told
from doubles.conformance.surface import Surface

ROOT = Path(__file__).parents[2]
ENGINE = sorted(ROOT.glob("engines/tensorrt/*.py"))
DOUBLE = sorted(ROOT.glob("doubles/tensorrt/*.py"))

SAMPLE = """
import tensorrt as trt

class Monitor(trt.IProgressMonitor):
    def __init__(self):
        trt.IProgressMonitor.__init__(self)
        self.failure = None

    def step_complete(self, phase_name, step):
        return self.failure is None

def build(log: trt.ILogger, graph):
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph, path="here"):
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        raise ValueError([error.desc() for error in errors])
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    config.max_aux_streams = 0
    cache = config.create_timing_cache(b"")
    config.set_timing_cache(cache, ignore_mismatch=False)
    return builder.build_serialized_network(network, config)

class Runner:
    def __init__(self, engine: "trt.ICudaEngine | None", names: list[trt.ITensor]):
        self._context = engine.create_execution_context()
        for tensor in names:
            print(tensor.name)

    def run(self, stream):
        return self._context.execute_async_v3(stream)
"""


def test_the_engine_uses_what_both_versions_have(either: Surface) -> None:
    assert complaints(ENGINE, either) == []


def test_the_double_takes_from_the_bindings_what_both_versions_have(either: Surface) -> None:
    assert complaints(DOUBLE, either) == []


def test_the_classes_of_the_engines_objects_are_told(newest: Surface) -> None:
    known = told(ENGINE, newest)
    assert {
        "IBuilderConfig.set_timing_cache",
        "IExecutionContext.execute_async_v3",
        "ParserError.desc",
        "Runtime.deserialize_cuda_engine",
        "type ILogger.Severity.ERROR",
    } <= known


def test_the_sample_is_right(either: Surface, tmp_path: Path) -> None:
    assert _complaints(SAMPLE, either, tmp_path) == []


@pytest.mark.parametrize(
    ("right", "wrong", "place"),
    [
        ("execute_async_v3", "execute_async_v2", "IExecutionContext has no execute_async_v2"),
        ("engine.create_execution_context()", "engine.num_bindings", "has no num_bindings"),
        ("trt.BuilderFlag.TF32", "trt.BuilderFlag.FP16", "type BuilderFlag has no FP16"),
        ("trt.Builder(log)", "trt.IBuilder(log)", "trt has no IBuilder"),
        ("ignore_mismatch=", "ignore_mismatches=", "it takes ['cache', 'ignore_mismatch']"),
        (
            "trt.OnnxParser(network, log)",
            "trt.OnnxParser(network)",
            "it takes ['network', 'logger']",
        ),
        ("parser.num_errors", "parser.num_errors()", "num_errors is a property"),
        ("error.desc()", "error.desc", "ParserError.desc is a method and is not called"),
        ("config.max_aux_streams", "config.num_aux_streams", "no num_aux_streams"),
        ("config.max_aux_streams", "network.num_layers", "num_layers cannot be set"),
        ("phase_name, step)", "step)", "step_complete is called with other arguments"),
        ("tensor.name", "tensor.names", "ITensor has no names"),
        ("self.failure is", "self.failed is", "IProgressMonitor has no failed"),
        ("execute_async_v3(stream)", "execute_async_v3()", "it takes ['stream_handle']"),
        ("engine.create_execution_context()", "engine.create_context()", "has no create_context"),
    ],
)
def test_a_planted_fault_is_found(
    newest: Surface, tmp_path: Path, right: str, wrong: str, place: str
) -> None:
    assert right in SAMPLE
    found = _complaints(SAMPLE.replace(right, wrong), newest, tmp_path)
    assert [line for line in found if place in line], found


def _complaints(text: str, surface: Surface, folder: Path) -> list[str]:
    path = folder / "sample.py"
    path.write_text(text, "utf-8")
    return complaints([path], surface)
