"""The ONNX parser: takes a model into a network, or says at which node it does not."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import external_data_helper
from tensorrt_bindings import ErrorCode, ILogger

from doubles.tensorrt.network import INetworkDefinition
from doubles.tensorrt.refusals import Refusal, refusals
from doubles.tensorrt.trouble import wanted


class ParserError:
    """One reason. All its members are methods, as in the genuine bindings."""

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal

    def code(self) -> ErrorCode:
        return self._refusal.code

    def desc(self) -> str:
        return self._refusal.text

    def file(self) -> str:
        return __file__

    def line(self) -> int:
        return 0

    def func(self) -> str:
        return "refusals"

    def node(self) -> int:
        return self._refusal.node

    def node_name(self) -> str:
        return self._refusal.name

    def node_operator(self) -> str:
        return self._refusal.operator


class OnnxParser:
    """Fills `network`, which it does not own."""

    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network = wanted(network, INetworkDefinition)
        self._logger = wanted(logger, ILogger)
        self._errors: list[ParserError] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]

    def clear_errors(self) -> None:
        self._errors.clear()

    def parse(self, model: bytes, path: str | None = None) -> bool:
        content = bytes(memoryview(model))
        try:
            read = onnx.load_from_string(content)
        except DecodeError as exc:
            return self._take(None, [Refusal(ErrorCode.MODEL_DESERIALIZE_FAILED, str(exc))])
        try:
            external_data_helper.load_external_data_for_model(read, str(Path(path or "").parent))
        except (OSError, onnx.checker.ValidationError) as exc:
            return self._take(None, [Refusal(ErrorCode.INVALID_VALUE, str(exc))])
        return self._take(read, list(refusals(read)))

    def parse_from_file(self, model: str) -> bool:
        try:
            content = Path(wanted(model, str)).read_bytes()
        except OSError as exc:
            return self._take(None, [Refusal(ErrorCode.MODEL_DESERIALIZE_FAILED, str(exc))])
        return self.parse(content, model)

    def _take(self, model: onnx.ModelProto | None, reasons: list[Refusal]) -> bool:
        for reason in reasons:
            self._errors.append(ParserError(reason))
            where = f"node {reason.node} [{reason.name} {reason.operator}]: "
            text = f"ModelImporter: {where}{reason.text}"
            self._logger.log(ILogger.Severity.ERROR, text)
        if model is None or reasons:
            return False
        self._network._fill(model)
        return True
