"""Reads the bits of a video header. The only reader of Exp-Golomb codes."""

from pipeline.errors import UndecodableFrameError

MAX_HEADER_BYTES = (
    4096  # the longest parameter set that is read; real ones have less than 200 bytes
)
LONGEST_CODE = 32  # leading zeros of an Exp-Golomb code: no field of H.264 or H.265 has more


class Bits:
    """The bits of a header, first bit first. Reading beyond its end is an `UndecodableFrameError`.

    `payload` is the header as transmitted; the emulation prevention bytes are removed here.
    """

    def __init__(self, payload: bytes) -> None:
        if len(payload) > MAX_HEADER_BYTES:
            raise UndecodableFrameError(f"a video header of {len(payload)} bytes")
        plain = payload.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(plain, "big")
        self._left = len(plain) * 8

    def u(self, bits: int) -> int:
        """Read an unsigned number of `bits` bits."""
        left = self._left - bits
        if left < 0:
            raise UndecodableFrameError("a video header that is cut off")
        self._left = left
        return (self._value >> left) & ((1 << bits) - 1)

    def flag(self) -> bool:
        """Read one bit."""
        return self.u(1) == 1

    def ue(self) -> int:
        """Read an unsigned Exp-Golomb code."""
        rest = self._value & ((1 << self._left) - 1)
        zeros = self._left - rest.bit_length()
        if zeros > LONGEST_CODE:
            raise UndecodableFrameError("a video header with a number that is too long")
        self.u(zeros)
        return self.u(zeros + 1) - 1

    def se(self) -> int:
        """Read a signed Exp-Golomb code."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)

    def at_most(self, limit: int, name: str) -> int:
        """Read an unsigned Exp-Golomb code of a field that has a limit."""
        value = self.ue()
        if value > limit:
            raise UndecodableFrameError(f"{name} is {value}, at most {limit} is allowed")
        return value
