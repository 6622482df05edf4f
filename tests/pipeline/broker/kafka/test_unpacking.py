"""Compressed batches are unpacked up to a limit."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.broker.kafka.vendor.border import REQUEST_BYTES
from pipeline.broker.kafka.vendor.unpacking import (
    FREE_BYTES,
    FREE_RATIO,
    MOST_RATIO,
    UnpackError,
    unpack,
    unpacked_limit,
)
from pipeline.media.sources import encode_jpeg
from tests.packed import CODECS, pack, xerial

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
        unpack(CODECS["snappy"], memoryview(xerial(bytes(MOST_RATIO * REQUEST_BYTES + 1), 1 << 20)))


@pytest.mark.parametrize("codec", CODECS)
def test_as_many_bytes_as_the_limit_are_unpacked_and_more_are_refused(codec: str) -> None:
    assert len(unpack(CODECS[codec], memoryview(pack(codec, bytes(FREE_BYTES))))) == FREE_BYTES
    bomb = pack(codec, bytes(BOMB_BYTES))
    limit = unpacked_limit(len(bomb))
    with pytest.raises(UnpackError, match=f"{codec} do not unpack into at most {limit} bytes"):
        unpack(CODECS[codec], memoryview(bomb))


def test_a_batch_may_unpack_in_proportion_to_its_size_up_to_four_of_the_largest() -> None:
    assert unpacked_limit(1000) == FREE_BYTES + 1000 * FREE_RATIO
    assert unpacked_limit(REQUEST_BYTES) == MOST_RATIO * REQUEST_BYTES
    assert unpacked_limit(2 * REQUEST_BYTES) == 2 * MOST_RATIO * REQUEST_BYTES


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_batch_of_equal_pictures_of_a_frozen_camera_is_unpacked(codec: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    picture = encode_jpeg(av.VideoFrame.from_ndarray(noise, format="rgb24"))
    batch = picture * (FREE_BYTES // len(picture))
    assert unpack(CODECS[codec], memoryview(pack(codec, batch))) == batch


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
    packed = framing + content
    try:
        assert len(unpack(codec, memoryview(packed))) <= unpacked_limit(len(packed))
    except UnpackError as exc:
        assert str(exc)  # noqa: PT017 - either is right
