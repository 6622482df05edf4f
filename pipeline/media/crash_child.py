"""Decodes records that may crash the decoder in a child process, so that the worker survives.

After several workers in a row have died on a partition, its frames are decoded here, one by one. A
frame counts as crashing only if it has killed two child processes. Other causes of dead workers,
such as a machine that loses power three times, therefore blame no frame. Units of H.264 have one
decoder for each stream in the child; if the child dies, all of them begin anew.
"""

import os
import struct
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe

import numpy as np

from engines.base import InputArray
from engines.child_python import module_command, module_environment
from engines.model.inputs import InputSpec, read_input, write_input
from pipeline.errors import CrashingFrameError, UndecodableFrameError
from pipeline.media.decoder import Decoder
from pipeline.media.kinds import decoder_for, open_fitting_for
from pipeline.media.video.lanes.fitting import (
    FitOutcome,
    Fitted,
    FittingDecoder,
    LostDecoderError,
    OpenFitting,
)
from pipeline.media.video.outcomes import Broken, Unkeyed
from pipeline.text.printable import printable

TRIES = 2
ANSWER_S = 30.0  # a decoder that has not answered for this long hangs
_PICTURE, _UNIT, _CLOSE = b"p", b"u", b"c"  # questions; a closed decoder has no answer
_DECODED, _REFUSED, _UNKEYED, _UNFITTED = b"d", b"r", b"k", b"f"
_HEAD = struct.Struct("<QqB")  # of a unit: the decoder, `seq` or -1, whether the picture is wanted


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
        self._decoders = 0  # opened so far
        self._closing = deque[tuple[int, int]]()  # decoders and their child's life
        self.lives = 0  # how many children there have been

    def __call__(self, content: bytes, /) -> InputArray:
        """Decode one record to one input (*shape)."""
        with self._lock:
            for _ in range(TRIES):
                answer = self._ask(_PICTURE + content)
                if answer is not None:
                    return self._read(answer)
        raise CrashingFrameError(
            f"{len(content)} bytes crashed or hung their decoder in {TRIES} child processes"
        )

    def open_fitting(self) -> FittingDecoder:
        """Open a decoder of units in the child. See `OpenFitting`."""
        with self._lock:
            self._decoders += 1
            return _ChildFitting(self, self._decoders)

    def feed(
        self, number: int, life: int | None, content: bytes, *, seq: int | None, wanted: bool
    ) -> tuple[int, FitOutcome]:
        """Decode a unit by decoder `number` of child `life`; None: in whichever child there is.

        Returns the child's number, too. Raises `LostDecoderError` if that child is gone.
        """
        with self._lock:
            if life is not None and life != self.lives:
                raise LostDecoderError
            head = _HEAD.pack(number, -1 if seq is None else seq, wanted)
            answer = self._ask(_UNIT + head + content)
            if answer is None:
                raise LostDecoderError
            return self.lives, self._read_unit(answer)

    def close_fitting(self, number: int, life: int) -> None:
        """Close decoder `number` of child `life` before the next question. Never waits."""
        self._closing.append((number, life))

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _ask(self, question: bytes) -> bytes | None:
        """Return the child's answer. None if it died or did not answer in time: it is ended."""
        line = self._line or self._start()
        with suppress(EOFError, OSError):
            while self._closing:
                number, life = self._closing.popleft()
                if life == self.lives:
                    line.send_bytes(_CLOSE + _HEAD.pack(number, -1, 0))
            line.send_bytes(question)
            if line.poll(ANSWER_S):
                return line.recv_bytes()
        self._end()
        return None

    def _start(self) -> Connection:
        self._line, theirs = Pipe()
        number = theirs.fileno()
        command = module_command("pipeline.media.crash_child")
        arguments = [str(number), write_input(self._spec), str(self._max_frame_pixels)]
        self._child = subprocess.Popen(  # noqa: S603 - our own program, no shell
            [*command, *arguments], pass_fds=[number], env=module_environment(os.environ)
        )
        theirs.close()  # the child has the only copy: when it dies, we read an end of file
        self.lives += 1
        return self._line

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self.lives += 1
        self._line = self._child = None

    def _read(self, answer: bytes) -> InputArray:
        kind, content = answer[:1], answer[1:]
        if kind == _REFUSED:
            raise UndecodableFrameError(content.decode())
        port = self._spec.array
        return np.frombuffer(content, port.dtype).reshape(port.shape).copy()

    def _read_unit(self, answer: bytes) -> FitOutcome:
        kind, key, content = answer[:1], answer[1:2] == b"\x01", answer[2:]
        if kind == _UNKEYED:
            return Unkeyed()
        if kind == _REFUSED:
            return Broken(content.decode())
        if kind == _UNFITTED:
            return Fitted(key, words=content.decode())
        return Fitted(key, self._read(_DECODED + content) if content else None)


class _ChildFitting:
    """See `FittingDecoder`: in the child process. It is lost with the child."""

    def __init__(self, child: ChildDecoder, number: int) -> None:
        self._child = child
        self._number = number
        self._life: int | None = None  # which child has decoded the units before

    @property
    def lost(self) -> bool:
        """See `FittingDecoder`."""
        return self._life is not None and self._life != self._child.lives

    def feed(self, content: bytes, *, seq: int | None, wanted: bool) -> FitOutcome:
        """See `FittingDecoder`."""
        life = self._life
        self._life, outcome = self._child.feed(self._number, life, content, seq=seq, wanted=wanted)
        return outcome

    def close(self) -> None:
        """See `FittingDecoder`."""
        if self._life is not None:
            self._child.close_fitting(self._number, self._life)


class _Answering:
    """The child's side: decodes what the parent sends, until it closes the connection."""

    def __init__(self, line: Connection, decode: Decoder, open_fitting: OpenFitting | None) -> None:
        self._line = line
        self._decode = decode
        self._open_fitting = open_fitting
        self._fittings: dict[int, FittingDecoder] = {}

    def run(self) -> None:
        while True:
            try:
                question = self._line.recv_bytes()
            except (EOFError, OSError):
                return
            kind, content = question[:1], question[1:]
            if kind == _PICTURE:
                self._line.send_bytes(self._answer_picture(content))
                continue
            number, seq, wanted = _HEAD.unpack_from(content)
            if kind == _CLOSE:
                self._fittings.pop(number, None)
                continue
            unit, known = content[_HEAD.size :], None if seq < 0 else seq
            self._line.send_bytes(self._answer_unit(number, unit, known, wanted=bool(wanted)))

    def _answer_picture(self, content: bytes) -> bytes:
        try:
            return _DECODED + self._decode(content).tobytes()
        except UndecodableFrameError as exc:
            return _REFUSED + printable(str(exc)).encode()

    def _answer_unit(self, number: int, unit: bytes, seq: int | None, *, wanted: bool) -> bytes:
        if self._open_fitting is None:
            return _REFUSED + b"\x00this kind of input takes no units of video"
        if number not in self._fittings:
            self._fittings[number] = self._open_fitting()
        outcome = self._fittings[number].feed(unit, seq=seq, wanted=wanted)
        if isinstance(outcome, Unkeyed):
            return _UNKEYED
        if isinstance(outcome, Broken):
            return _REFUSED + b"\x00" + printable(outcome.words).encode()
        key = b"\x01" if outcome.key else b"\x00"
        if outcome.words:
            return _UNFITTED + key + printable(outcome.words).encode()
        return _DECODED + key + (b"" if outcome.pixels is None else outcome.pixels.tobytes())


if __name__ == "__main__":
    _number, _described, _pixels = sys.argv[1:]
    _spec, _most = read_input(_described), int(_pixels)
    _Answering(
        Connection(int(_number)),
        decoder_for(_spec, max_frame_pixels=_most),
        open_fitting_for(_spec, max_frame_pixels=_most),
    ).run()
