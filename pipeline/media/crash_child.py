"""Decodes pictures that may crash the decoder in a child process, so that the worker survives.

After several workers in a row have died on a partition, its frames are decoded here, one by one. A
frame counts as crashing only if it has killed two child processes. Other causes of dead workers,
such as a machine that loses power three times, therefore blame no frame.
"""

import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe

import numpy as np

from engines.base import Pixels
from pipeline.errors import CrashingFrameError, UndecodableFrameError
from pipeline.media.pictures import Fit, decode_picture

TRIES = 2
ANSWER_S = 30.0  # a decoder that has not answered for this long hangs
_DECODED, _REFUSED = b"d", b"r"


class ChildDecoder:
    """See `Decoder`. Safe from any thread; one picture at a time.

    Raises `UndecodableFrameError`, and `CrashingFrameError` for a picture that crashes or hangs
    its decoder. The child is started at the first picture, and again after each crash.
    """

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None

    def __call__(self, content: bytes, /) -> Pixels:
        """Decode one picture to (H, W, 3) uint8."""
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
        fit = self._fit
        command = [sys.executable, "-m", "pipeline.media.crash_child"]
        arguments = [str(number), str(fit.height), str(fit.width), fit.fit]
        self._child = subprocess.Popen([*command, *arguments], pass_fds=[number])  # noqa: S603
        theirs.close()  # the child has the only copy: when it dies, we read an end of file
        return self._line

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        self._line = self._child = None

    def _read(self, answer: bytes) -> Pixels:
        kind, content = answer[:1], answer[1:]
        if kind == _REFUSED:
            raise UndecodableFrameError(content.decode())
        pixels = np.frombuffer(content, np.uint8)
        return pixels.reshape(self._fit.height, self._fit.width, 3).copy()


def answer_parent(line: Connection, fit: Fit) -> None:
    """Decode the pictures that the parent sends, until it closes the connection."""
    while True:
        try:
            content = line.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            answer = _DECODED + decode_picture(content, fit).tobytes()
        except UndecodableFrameError as exc:
            answer = _REFUSED + str(exc).encode()
        line.send_bytes(answer)


if __name__ == "__main__":
    _number, _height, _width, _fit = sys.argv[1:]
    answer_parent(Connection(int(_number)), Fit(int(_height), int(_width), _fit))  # type: ignore[arg-type]
