"""Decodes pictures that may crash a decoder, in a child process: it dies in our place.

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

from engines.base import Pixels
from pipeline.errors import CrashingFrameError, UndecodableFrameError
from pipeline.media.pictures import Fit, decode_picture

TRIES = 2
ANSWER_S = 30.0  # a decoder that is silent for so long hangs
_DECODED, _REFUSED = b"d", b"r"


class ChildDecoder:
    """See `Decoder`. Safe from any thread; one picture at a time.

    Raises `CrashingFrameError`, besides `UndecodableFrameError`, for a picture that crashes or
    hangs its decoder. The child is started when it is needed.
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
        fit = self._fit
        command = [sys.executable, "-m", "pipeline.media.crash_child"]
        arguments = [str(number), str(fit.height), str(fit.width), fit.fit]
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

    def _read(self, answer: bytes) -> Pixels:
        kind, content = answer[:1], answer[1:]
        if kind == _REFUSED:
            raise UndecodableFrameError(content.decode())
        pixels = np.frombuffer(content, np.uint8)
        return pixels.reshape(self._fit.height, self._fit.width, 3).copy()


def answer_parent(line: Connection, fit: Fit) -> None:
    """Decode what comes, until the parent is gone."""
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
