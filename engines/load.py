"""An engine by its name, ready to serve: made and verified."""

from typing import Literal

from engines.base import Engine
from engines.bundle import Bundle
from engines.errors import EngineError
from engines.onnxrt import OnnxRuntimeEngine
from engines.reference import ReferenceEngine
from engines.verify import verify

EngineName = Literal["onnxruntime", "reference"]


def load_engine(name: EngineName, bundle: Bundle, threads: int) -> Engine:
    """Make the engine and compare it with the oracle. Raises `EngineError` of any kind."""
    if name == "reference":
        return ReferenceEngine(bundle)  # it is the oracle
    if name != "onnxruntime":
        raise EngineError(f"no engine named {name!r}; there are: onnxruntime, reference")
    engine = OnnxRuntimeEngine(bundle, threads)
    verify(engine, bundle)
    return engine
