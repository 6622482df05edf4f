"""What the tests of the double share: a log that remembers, and ways from a model to a context."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from tensorrt_bindings import IErrorRecorder, ILogger

Profile = Mapping[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]


class Log(ILogger):
    """Remembers what was said, and may do something on hearing it."""

    def __init__(self) -> None:
        ILogger.__init__(self)
        self.lines: list[str] = []

    def log(self, severity: ILogger.Severity, msg: str) -> None:
        self.lines.append(f"{severity.name}: {msg}")

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)


class Recorder(IErrorRecorder):
    """Remembers codes and texts."""

    def __init__(self) -> None:
        IErrorRecorder.__init__(self)
        self.errors: list[tuple[Any, str]] = []

    def report_error(self, code: Any, text: str) -> bool:
        self.errors.append((code, text))
        return False


class Bench:
    """TensorRT's objects for one test, in the order in which they have to be held."""

    def __init__(self, trt: ModuleType) -> None:
        self.trt, self.log = trt, Log()
        self.builder = trt.Builder(self.log)
        self.network = self.builder.create_network(0)
        self.parser = trt.OnnxParser(self.network, self.log)
        self.config = self.builder.create_builder_config()
        self.runtime = trt.Runtime(self.log)

    def profile(self, shapes: Profile) -> int:
        profile = self.builder.create_optimization_profile()
        for name, three in shapes.items():
            profile.set_shape(name, *three)
        return int(self.config.add_optimization_profile(profile))

    def build(self) -> Any:
        return self.builder.build_serialized_network(self.network, self.config)

    def plan(self, model: bytes, *profiles: Profile) -> bytes:
        assert self.parser.parse(model), self.log.lines
        for shapes in profiles:
            assert self.profile(shapes) >= 0
        return bytes(memoryview(self.build()))

    def engine(self, model: bytes, *profiles: Profile) -> Any:
        return self.runtime.deserialize_cuda_engine(self.plan(model, *profiles))
