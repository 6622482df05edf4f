"""How TensorRT says that something is wrong: not by exceptions, but to its recorder or its log."""

import sys
from typing import TypeVar

from tensorrt_bindings import ErrorCodeTRT, IErrorRecorder, ILogger

T = TypeVar("T")
MISUSES: list[str] = []  # what would crash a real TensorRT, newest last; tests read and clear it


def misuse(what: str) -> None:
    """Note something that a real TensorRT answers with undefined behaviour."""
    MISUSES.append(what)
    print(f"the double of TensorRT: {what}", file=sys.stderr)  # noqa: T201 - destructors call this


class Reporting:
    """What all objects with an error recorder share; those they make inherit it.

    With a recorder set, errors go there and *not* into the log, by NvInferRuntime.h ("If an error
    recorder is not set, messages will be sent to the global log stream").
    """

    _logger: ILogger
    _recorder: IErrorRecorder | None

    @property
    def error_recorder(self) -> IErrorRecorder | None:
        return self._recorder

    @error_recorder.setter
    def error_recorder(self, recorder: IErrorRecorder | None) -> None:
        self._recorder = wanted(recorder, (IErrorRecorder, type(None)))

    def _error(self, code: ErrorCodeTRT, text: str) -> None:
        if self._recorder is not None:
            self._recorder.report_error(code, text)
        else:
            self._logger.log(ILogger.Severity.ERROR, text)

    def _warn(self, text: str) -> None:
        self._logger.log(ILogger.Severity.WARNING, text)


def wanted(value: T, kind: type | tuple[type, ...]) -> T:
    """Refuse what the genuine bindings' overload resolution would refuse."""
    if not isinstance(value, kind):
        raise TypeError(f"incompatible function arguments: {value!r} is no {kind}")
    return value


def number(value: object) -> int:
    """Take what `typing.SupportsInt` of the genuine bindings takes: handles and addresses."""
    if isinstance(value, float | str | bytes):
        raise TypeError(f"incompatible function arguments: {value!r} is no integer")
    return int(value)  # type: ignore[call-overload,no-any-return]
