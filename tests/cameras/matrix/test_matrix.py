"""Every picture that a camera's source hands on is the encoder's own, whatever way it comes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cameras.matrix.__main__ import all_judged
from tests.cameras.matrix.pairs import Combination, pairwise
from tests.cameras.matrix.sources import (
    GstSource,
    OwnSource,
    fault,
    own_combinations,
)
from tests.cameras.rtsp import RtspServer, serving


def _is_slow(one: Combination) -> bool:
    """Whether a source has 480 pictures, or new parameter sets that come once and may be lost."""
    unsaid = one["sets"] == "sdp" and one["loss"]
    return bool(one["resized"] and (one["seconds"] == 60 or unsaid))


QUICK = [one for one in own_combinations() if not _is_slow(one)]
OWN = [OwnSource(**one) for one in pairwise(QUICK)]
GST = [
    GstSource("h264", 3, -1, 10, "tcp", 0.0, resized=True, checksums=False),
    GstSource("h264", 0, 1, 100_000, "tcp", 0.0, resized=False, checksums=False),
    GstSource("h264", 3, 0, 10, "udp", 0.04, resized=False, checksums=False),
    GstSource("hevc", 1, -1, 10, "udp", 0.04, resized=False, checksums=True, cabac=True),
    GstSource("hevc", 3, 0, 10, "tcp", 0.0, resized=False, checksums=False, cabac=True),
]


@pytest.mark.parametrize("source", OWN, ids=str)
def test_pictures_of_our_own_sender_are_right_or_left_out(source: OwnSource) -> None:
    verdict = source.judge()
    assert fault(source, verdict) is None, verdict


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RtspServer]:
    with serving(*(source.mount(folder) for source in GST)) as made:
        yield made


@pytest.mark.parametrize("source", GST, ids=str)
def test_pictures_of_gstreamer_are_right_or_left_out(
    source: GstSource, server: RtspServer, folder: Path
) -> None:
    verdict = source.judge(server, folder)
    assert fault(source, verdict) is None, verdict


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("server")  # skips without GStreamer
def test_no_source_of_the_whole_matrix_shows_a_wrong_picture() -> None:
    judged = [(source, verdict, fault(source, verdict)) for source, verdict in all_judged()]
    assert [one for one in judged if one[2] is not None] == []
    assert sum(verdict.right for _, verdict, _ in judged) > 10_000
