"""Compressed batches are unpacked up to a limit."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.broker.kafka.vendor.border import REQUEST_BYTES
from pipeline.broker.kafka.vendor.unpacking import (
    UNPACKED_RATIO,
    UnpackError,
    unpack,
    unpacked_limit,
)
from tests.packed import CODECS, pack, xerial

LIMIT = unpacked_limit(0)
BOMB_BYTES = 200 << 20
SLACK_BYTES = 32 << 20  # the packed bytes themselves, a codec's window

PEAK = """
import sys
from pathlib import Path
from pipeline.broker.kafka.vendor.unpacking import UnpackError, unpack

def peak_bytes():
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))

packed, before = Path(sys.argv[1]).read_bytes(), peak_bytes()
try:
    unpack(int(sys.argv[2]), memoryview(packed))
except UnpackError:
    print(peak_bytes() - before)
"""


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("content", [b"", b"a picture" * 10_000], ids=["empty", "long"])
def test_what_each_codec_packs_is_unpacked(codec: str, content: bytes) -> None:
    assert unpack(CODECS[codec], memoryview(pack(codec, content))) == content


def test_snappy_is_unpacked_in_the_framing_of_javas_producers_too() -> None:
    content = bytes(range(256)) * 100
    assert unpack(CODECS["snappy"], memoryview(xerial(content))) == content


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("codec", CODECS)
def test_a_bomb_is_refused_and_fills_no_more_memory_than_the_limit(
    codec: str, tmp_path: Path
) -> None:
    bomb = tmp_path / "bomb"
    bomb.write_bytes(pack(codec, bytes(BOMB_BYTES)))
    limit = unpacked_limit(bomb.stat().st_size)
    command = [sys.executable, "-c", PEAK, str(bomb), str(CODECS[codec])]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert int(ended.stdout) <= limit + SLACK_BYTES


def test_of_many_small_blocks_of_snappy_the_sum_counts() -> None:
    with pytest.raises(UnpackError, match="do not unpack into at most"):
        unpack(CODECS["snappy"], memoryview(xerial(bytes(LIMIT + 1), 1 << 20)))


@pytest.mark.parametrize("codec", CODECS)
def test_as_many_bytes_as_the_limit_are_unpacked_and_one_more_is_refused(codec: str) -> None:
    assert len(unpack(CODECS[codec], memoryview(pack(codec, bytes(LIMIT))))) == LIMIT
    with pytest.raises(UnpackError, match=f"{codec} do not unpack into at most {LIMIT} bytes"):
        unpack(CODECS[codec], memoryview(pack(codec, bytes(LIMIT + 1))))


def test_a_topic_that_takes_larger_records_has_a_larger_limit() -> None:
    assert unpacked_limit(1) == UNPACKED_RATIO * REQUEST_BYTES
    assert unpacked_limit(2 * REQUEST_BYTES) == 2 * UNPACKED_RATIO * REQUEST_BYTES


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_cut_short_is_refused(codec: str) -> None:
    packed = pack(codec, bytes(range(256)) * 50)
    with pytest.raises(UnpackError, match=codec):
        unpack(CODECS[codec], memoryview(packed)[:-9])


@pytest.mark.parametrize(
    "length", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", b"\0"]
)
def test_a_block_of_snappy_that_lies_about_its_length_is_refused(length: bytes) -> None:
    with pytest.raises(UnpackError, match="the block at byte"):
        unpack(CODECS["snappy"], memoryview(xerial(b"") + length))


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(UnpackError, match="codec 5 is unknown"):
        unpack(5, memoryview(b"anything"))


@given(
    st.sampled_from(sorted(CODECS.values())),
    st.sampled_from([b"", xerial(b"")]),
    st.binary(max_size=200),
)
def test_any_bytes_are_unpacked_or_refused(codec: int, framing: bytes, content: bytes) -> None:
    try:
        assert len(unpack(codec, memoryview(framing + content))) <= LIMIT
    except UnpackError as exc:
        assert str(exc)  # noqa: PT017 - either is right
