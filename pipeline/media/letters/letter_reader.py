"""A record of letters in, the bytes that the encoder sees out: what is accepted, and what not."""

import numpy as np
from numpy.typing import NDArray

from engines.model.inputs import IUPAC, LettersInput
from pipeline.errors import UndecodableFrameError

_LETTERS = "".join(IUPAC).encode()
_UPPER = bytes.maketrans(_LETTERS.lower() + b"uU", _LETTERS + b"TT")
_BLANKS = b" \t\r\n"


def read_letters(content: bytes, /, *, spec: LettersInput) -> NDArray[np.uint8]:
    """Check the content of a record and bring it to (L,) uint8. Raises `UndecodableFrameError`.

    Text is UTF-8 without zeros; one line end behind it is no part of it. Bases are the letters of
    IUPAC in either case, U counts as T; blanks and line ends between them are left out.
    """
    letters = _text(content) if spec.kind == "text" else _bases(content)
    if not letters:
        raise UndecodableFrameError(f"{len(content)} bytes hold no {spec.kind}: nothing is in them")
    try:
        return spec.fitted(letters)
    except ValueError as exc:
        raise UndecodableFrameError(str(exc)) from None


def _text(content: bytes) -> bytes:
    line = content.removesuffix(b"\n").removesuffix(b"\r")
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise UndecodableFrameError(
            f"{len(content)} bytes are no UTF-8: {exc.reason} at byte {exc.start}"
        ) from None
    if b"\0" in line:
        raise UndecodableFrameError(
            f"byte {line.index(0)} of {len(content)} is zero, which is no text"
        )
    return line


def _bases(content: bytes) -> bytes:
    bases = content.translate(_UPPER, _BLANKS)
    others = bases.translate(None, _LETTERS)
    if others:
        hint = ": a FASTA file? Send its bases alone" if content.startswith(b">") else ""
        raise UndecodableFrameError(
            f"byte 0x{others[0]:02x} ({chr(others[0])!a}) at letter"
            f" {bases.index(others[0])} is no base of IUPAC{hint}"
        )
    return bases
