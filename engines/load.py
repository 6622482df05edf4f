"""An engine by its name, ready to serve: made and verified."""

from typing import Literal

from engines.base import Engine
from engines.bundle import Bundle
from engines.errors import EngineError
from engines.onnxrt import OnnxRuntimeEngine
from engines.verdicts import Verdicts

EngineName = Literal["onnxruntime", "reference"]


def load_engine(
    name: EngineName, bundle: Bundle, threads: int, *, verdicts: Verdicts | None = None
) -> Engine:
    """Make the engine and compare it with the oracle, unless `verdicts` know how that ends.

    Raises `EngineError` of any kind.
    """
    if name == "reference":
        from engines.reference import ReferenceEngine  # 0.15 s, seldom needed

        return ReferenceEngine(bundle)  # it is the oracle
    if name != "onnxruntime":
        raise EngineError(f"no engine named {name!r}; there are: onnxruntime, reference")
    engine = OnnxRuntimeEngine(bundle, threads)
    what = "engine", bundle.digest, name, str(threads)
    if verdicts is not None and verdicts.passed(*what):
        return engine
    from engines.verify import promised, verify  # they bring the oracle along

    verify(engine, bundle, precision=promised(bundle))
    if verdicts is not None:
        verdicts.remember(*what)
    return engine
