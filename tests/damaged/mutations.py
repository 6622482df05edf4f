"""Ways to damage a picture. All random choices come from the given generator."""

import struct
import zlib
from collections.abc import Callable
from random import Random

from tests.damaged.seeds import PNG, whole

Mutation = Callable[[bytes, Random], bytes]

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def flip_bits(content: bytes, rng: Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def flip_bits_of_the_header(content: bytes, rng: Random) -> bytes:
    return flip_bits(content[:64], rng) + content[64:]


def truncate(content: bytes, rng: Random) -> bytes:
    return content[: rng.randrange(len(content))]


def truncate_and_close(content: bytes, rng: Random) -> bytes:
    """Cut the content, and append the end marker of its container."""
    cut = truncate(content, rng)
    if content[:2] == b"\xff\xd8":
        return cut + b"\xff\xd9"
    if content[:4] == b"RIFF":
        return cut[:4] + struct.pack("<I", max(0, len(cut) - 8)) + cut[8:]
    return cut + b"\0\0\0\0IEND\xaeB`\x82"


def write_a_number(content: bytes, rng: Random) -> bytes:
    """Overwrite a number; sizes and lengths are numbers."""
    damaged, value = bytearray(content), rng.choice(NUMBERS)
    form = rng.choice((">H", "<H", ">I", "<I"))
    raw = struct.pack(form, value & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
    at = rng.randrange(min(len(damaged), 256))
    damaged[at : at + len(raw)] = raw
    return bytes(damaged)


def cut_a_hole(content: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + content[at + rng.randrange(1, 2000) :]


def repeat_a_part(content: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(content))
    part = content[at : at + rng.randrange(1, 400)]
    return content[:at] + part * rng.choice((2, 10, 300)) + content[at:]


def splice(content: bytes, rng: Random) -> bytes:
    """Join the beginning of one picture and the end of another."""
    other = rng.choice(list(whole().values()))
    return content[: rng.randrange(len(content))] + other[rng.randrange(len(other)) :]


def insert_noise(content: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + rng.randbytes(rng.randrange(1, 500)) + content[at:]


def lie_with_right_sums(content: bytes, rng: Random) -> bytes:
    """Damage a PNG's chunks, and correct their CRCs: only the decoder can detect it."""
    if not content.startswith(PNG):
        return flip_bits(content, rng)
    damaged, at = bytearray(content), 8
    while at + 12 <= len(damaged):
        length = int.from_bytes(damaged[at : at + 4])
        end = at + 8 + length
        if length and end + 4 <= len(damaged) and rng.random() < 0.5:
            damaged[at + 8 + rng.randrange(length)] = rng.randrange(256)
            damaged[end : end + 4] = struct.pack(">I", zlib.crc32(damaged[at + 4 : end]))
        at = end + 4
    return bytes(damaged)


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    flip_bits_of_the_header,
    truncate,
    truncate_and_close,
    write_a_number,
    cut_a_hole,
    repeat_a_part,
    splice,
    insert_noise,
    lie_with_right_sums,
)


def mutate(content: bytes, rng: Random) -> bytes:
    """Damage a picture once, sometimes twice."""
    for _ in range(rng.choice((1, 1, 1, 2))):
        content = rng.choice(MUTATIONS)(content, rng) or b"\0"
    return content
