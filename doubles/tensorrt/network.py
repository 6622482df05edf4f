"""The network between parser and builder. Here it is filled by the parser alone, with ONNX."""

import onnx
from tensorrt_bindings import DataType, Dims, ILogger, NetworkDefinitionCreationFlag

from doubles.tensorrt import ports
from doubles.tensorrt.trouble import Reporting, wanted


class ITensor:
    """An input or output of a network."""

    def __init__(self, port: ports.Port) -> None:
        self._port = port

    @property
    def name(self) -> str:
        return self._port.name

    @property
    def dtype(self) -> DataType:
        return self._port.dtype

    @property
    def shape(self) -> Dims:
        return Dims(self._port.shape)


class INetworkDefinition(Reporting):
    """Made by `Builder.create_network`."""

    def __init__(self, logger: ILogger, flags: int) -> None:
        self._logger, self._recorder, self._flags = logger, None, flags
        self._content = onnx.ModelProto()

    @property
    def name(self) -> str:
        return str(self._content.graph.name)

    @property
    def flags(self) -> int:
        return self._flags

    def get_flag(self, flag: NetworkDefinitionCreationFlag) -> bool:
        return bool(self._flags >> int(wanted(flag, NetworkDefinitionCreationFlag)) & 1)

    @property
    def num_layers(self) -> int:
        return len(self._content.graph.node)

    @property
    def num_inputs(self) -> int:
        return len(ports.inputs(self._content))

    @property
    def num_outputs(self) -> int:
        return len(ports.outputs(self._content))

    def get_input(self, index: int) -> ITensor | None:
        return _pick(ports.inputs(self._content), index)

    def get_output(self, index: int) -> ITensor | None:
        return _pick(ports.outputs(self._content), index)

    def _fill(self, model: onnx.ModelProto) -> None:
        self._content = model


def _pick(of: list[ports.Port], index: int) -> ITensor | None:
    return ITensor(of[index]) if 0 <= index < len(of) else None
