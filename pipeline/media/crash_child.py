"""Decodes records that may crash a decoder, in a child process: it dies in our place.

A partition whose frames were there when workers died, again and again, has them decoded here, one
by one. Whether a frame kills is seen by its killing a child, twice, and by nothing else: a machine
that loses its power three times convicts no frame.
"""

import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe

import numpy as np

from engines.base import InputArray
from engines.model.inputs import InputSpec, read_input
from pipeline.errors import CrashingFrameError, UndecodableFrameError
from pipeline.media.decoder import Decoder
from pipeline.media.kinds import decoder_for

TRIES = 2
ANSWER_S = 30.0  # a decoder that is silent for so long hangs
_DECODED, _REFUSED = b"d", b"r"


class ChildDecoder:
    """See `Decoder`. Safe from any thread; one record at a time.

    Raises `CrashingFrameError`, besides `UndecodableFrameError`, for a record that crashes or
    hangs its decoder. The child is started when it is needed.
    """

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None

    def __call__(self, content: bytes, /) -> InputArray:
        """Decode one record to one input (*shape)."""
        with self._lock:
            for _ in range(TRIES):
                answer = self._ask(content)
                if answer is not None:
                    return self._read(answer)
                self._end()
        raise CrashingFrameError(
            f"{len(content)} bytes crashed or hung their decoder in {TRIES} child processes"
        )

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _ask(self, content: bytes) -> bytes | None:
        """The child's answer; None when it died or fell silent."""
        line = self._line or self._start()
        with suppress(EOFError, OSError):
            line.send_bytes(content)
            if line.poll(ANSWER_S):
                return line.recv_bytes()
        return None

    def _start(self) -> Connection:
        self._line, theirs = Pipe()
        number = theirs.fileno()
        command = [sys.executable, "-m", "pipeline.media.crash_child"]
        arguments = [str(number), self._spec.model_dump_json()]
        self._child = subprocess.Popen([*command, *arguments], pass_fds=[number])  # noqa: S603
        theirs.close()  # the child's copy is the only one: its death is our end of file
        return self._line

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        self._line = self._child = None

    def _read(self, answer: bytes) -> InputArray:
        kind, content = answer[:1], answer[1:]
        if kind == _REFUSED:
            raise UndecodableFrameError(content.decode())
        port = self._spec.array
        return np.frombuffer(content, port.dtype).reshape(port.shape).copy()


def answer_parent(line: Connection, decode: Decoder) -> None:
    """Decode what comes, until the parent is gone."""
    while True:
        try:
            content = line.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            answer = _DECODED + decode(content).tobytes()
        except UndecodableFrameError as exc:
            answer = _REFUSED + str(exc).encode()
        line.send_bytes(answer)


if __name__ == "__main__":
    _number, _described = sys.argv[1:]
    answer_parent(Connection(int(_number)), decoder_for(read_input(_described)))
