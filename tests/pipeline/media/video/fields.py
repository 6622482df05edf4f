"""An H.264 stream of field pairs (PAFF), written bit by bit: no encoder at hand makes one.

Each field is one macroblock of 16 x 16 samples without compression (I_PCM), of a single grey.
"""

from collections.abc import Sequence

WIDTH, HEIGHT = 16, 32
START = b"\x00\x00\x00\x01"


def ue(value: int) -> str:
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def nal(header: int, bits: str, samples: bytes = b"") -> bytes:
    """Return a NAL unit: bits, samples from the next whole byte on, the stop bit."""
    if samples:
        bits += "0" * (-len(bits) % 8)
        payload = _bytes(bits) + samples + b"\x80"
    else:
        payload = _bytes(bits + "1" + "0" * (-(len(bits) + 1) % 8))
    for byte in range(4):
        payload = payload.replace(bytes([0, 0, byte]), bytes([0, 0, 3, byte]))
    return START + bytes([header]) + payload


def sets() -> bytes:
    # main profile; frame_num has 4 bits, poc_type 2; 1 x 1 map units, fields; no cropping, no VUI
    sps = f"{77:08b}{0:08b}{30:08b}" + ue(0) + ue(0) + ue(2) + ue(1) + "0" + ue(0) + ue(0)
    pps = ue(0) + ue(0) + "00" + ue(0) + ue(0) + ue(0) + "000" + ue(0) + ue(0) + ue(0) + "000"
    return nal(0x67, sps + "00" + "1" + "0" + "0") + nal(0x68, pps)


def field(frame: int, *, bottom: bool, grey: int) -> bytes:
    """Return one field as an access unit; frame 0 is the keyframe."""
    idr = frame == 0 and not bottom
    head = ue(0) + ue(7) + ue(0) + f"{frame % 16:04b}" + "1" + str(int(bottom))
    head += (ue(0) + "00") if idr else "0"  # idr_pic_id, marking
    unit = nal(0x65 if idr else 0x61, head + ue(0) + ue(25), bytes([grey]) * 256 + b"\x80" * 128)
    return (sets() if idr else b"") + unit


def film(greys: Sequence[int]) -> list[bytes]:
    """Return two units for each grey: its own, and one shade brighter below."""
    return [
        field(frame, bottom=bottom, grey=grey + bottom)
        for frame, grey in enumerate(greys)
        for bottom in (False, True)
    ]


def _bytes(bits: str) -> bytes:
    return int(bits, 2).to_bytes(len(bits) // 8)
