"""Decodes records that may crash the decoder in a child process, so that the worker survives.

After several workers in a row have died on a partition, its frames are decoded here, one by one. A
frame counts as crashing only if it has killed two child processes. Other causes of dead workers,
such as a machine that loses power three times, therefore blame no frame.
"""

import os
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe

import numpy as np

from engines.base import InputArray
from engines.child_python import module_command, module_environment
from engines.model.inputs import InputSpec, read_input
from pipeline.errors import CrashingFrameError, UndecodableFrameError
from pipeline.media.decoder import Decoder
from pipeline.media.kinds import decoder_for
from pipeline.text.printable import printable

TRIES = 2
ANSWER_S = 30.0  # a decoder that has not answered for this long hangs
_DECODED, _REFUSED = b"d", b"r"


class ChildDecoder:
    """See `Decoder`. Safe from any thread; one record at a time.

    Raises `UndecodableFrameError`, and `CrashingFrameError` for a record that crashes or hangs
    its decoder. The child is started at the first record, and again after each crash.
    """

    def __init__(self, spec: InputSpec, *, max_frame_pixels: int) -> None:
        self._spec = spec
        self._max_frame_pixels = max_frame_pixels
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
        """Return the child's answer; None if it died or did not answer in time."""
        line = self._line or self._start()
        with suppress(EOFError, OSError):
            line.send_bytes(content)
            if line.poll(ANSWER_S):
                return line.recv_bytes()
        return None

    def _start(self) -> Connection:
        self._line, theirs = Pipe()
        number = theirs.fileno()
        command = module_command("pipeline.media.crash_child")
        arguments = [str(number), self._spec.model_dump_json(), str(self._max_frame_pixels)]
        self._child = subprocess.Popen(  # noqa: S603 - our own program, no shell
            [*command, *arguments], pass_fds=[number], env=module_environment(os.environ)
        )
        theirs.close()  # the child has the only copy: when it dies, we read an end of file
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
    """Decode the records that the parent sends, until it closes the connection."""
    while True:
        try:
            content = line.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            answer = _DECODED + decode(content).tobytes()
        except UndecodableFrameError as exc:
            answer = _REFUSED + printable(str(exc)).encode()
        line.send_bytes(answer)


if __name__ == "__main__":
    _number, _described, _pixels = sys.argv[1:]
    _decode = decoder_for(read_input(_described), max_frame_pixels=int(_pixels))
    answer_parent(Connection(int(_number)), _decode)
