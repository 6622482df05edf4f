"""Lost RTP packets are noticed, and cost the units that they can have damaged."""

import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

import av
import pytest
from av.packet import Packet

from pipeline.media.opening.media import Transport
from pipeline.media.opening.rtp_holes import RtpHoles, holes_here, watch_holes
from tests.cameras.films import Film, right
from tests.cameras.matrix.viewing import Verdict, judged, viewing
from tests.cameras.rtp import Packing
from tests.cameras.rtp_server import Broadcast, sending

SAMPLE = str(files("pipeline") / "samples" / "yard.mp4")
HIDING = [Film("h264", group=8, groups=8, cabac=True), Film("hevc", group=8, groups=8, cabac=True)]
VIEW = """
import sys
from tests.cameras.matrix.viewing import viewing
for one in viewing(sys.argv[1], "udp"):
    if one is not None and (one[0] or 0) >= int(sys.argv[2]):
        break
"""


def watched(film: Film, transport: Transport, *, loss: float = 0.0, seed: int = 1) -> Verdict:
    seen = []
    with sending(Broadcast(film, packing=Packing(400), loss=loss, seed=seed)) as server:
        for one in viewing(server.url, transport):
            if one is not None:
                seen.append(one)
                if (one[0] or 0) >= film.last_key:
                    break
    return judged(seen, right(film), first=0, last=film.last_key)


def missing(*packets: int) -> None:
    """Let libav say that so many packets are missing, as its RTSP does."""
    for number in packets:
        av.logging.log(av.logging.WARNING, "rtsp", f"RTP: missed {number} packets\n")


@pytest.fixture
def stream() -> Iterator[Iterator["Packet[Any]"]]:
    watch_holes()
    with av.open(SAMPLE) as container:
        yield container.demux(container.streams.video[0])


def after(packets: Iterator["Packet[Any]"], *numbers: int) -> Iterator["Packet[Any]"]:
    """Yield packets; holes are reported while the first one is read."""
    missing(*numbers)
    yield from packets


def marks(holes: RtpHoles, packets: Iterator["Packet[Any]"], count: int) -> list[bool]:
    found = [holes.next_packet(packets) for _ in range(count)]
    return [packet is not None and packet.is_corrupt for packet in found]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("film", HIDING, ids=["cabac", "h265"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_packet_lost_out_of_a_slice_shows_no_wrong_picture(
    film: Film, transport: Transport, seed: int
) -> None:
    verdict = watched(film, transport, loss=0.04, seed=seed)
    assert verdict.wrong == 0
    assert 0 < verdict.right < verdict.sent


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("film", HIDING, ids=["cabac", "h265"])
def test_without_loss_nothing_is_left_out(film: Film, transport: Transport) -> None:
    verdict = watched(film, transport)
    assert verdict == Verdict(sent=film.last_key + 1, right=film.last_key + 1, wrong=0)


def test_a_camera_loses_nothing_because_another_one_does() -> None:
    film = HIDING[0]
    right(film)  # encodes it before the threads do
    with ThreadPoolExecutor(2) as pool:
        lossy = pool.submit(watched, film, "udp", loss=0.1)
        whole = pool.submit(watched, film, "udp")
    assert (whole.result().left_out, whole.result().wrong) == (0, 0)
    assert (lossy.result().left_out > 0, lossy.result().wrong) == (True, 0)


def test_a_hole_marks_the_unit_that_is_returned_and_the_next_one(
    stream: Iterator["Packet[Any]"],
) -> None:
    holes = RtpHoles()
    assert marks(holes, stream, 2) == [False, False]
    assert marks(holes, after(stream, 3, 1), 4) == [True, True, False, False]
    assert holes.packets == 4


def test_holes_of_the_opening_mark_all_that_can_have_been_read_then(
    stream: Iterator["Packet[Any]"],
) -> None:
    holes = RtpHoles()
    missing(1)
    holes.opened()
    assert marks(holes, stream, 4) == [True, True, False, False]


def test_holes_of_another_thread_do_not_count(stream: Iterator["Packet[Any]"]) -> None:
    holes, began = RtpHoles(), holes_here()
    other = threading.Thread(target=missing, args=(1,))
    other.start()
    other.join()
    assert holes_here() == began
    assert marks(holes, stream, 2) == [False, False]


def test_holes_where_the_numbers_start_again_count_as_at_least_one_packet() -> None:
    watch_holes()
    holes, packets = holes_here()
    missing(0, 65_534)
    assert holes_here() == (holes + 2, packets + 2)


def test_equal_messages_are_each_counted_and_none_is_kept() -> None:
    watch_holes()
    holes, _ = holes_here()
    missing(*[1] * 1000)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        missing(*[1] * 5000)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert holes_here()[0] == holes + 6000
    assert grown < 100_000  # 5,000 messages have a megabyte


def test_nothing_is_printed_when_packets_are_lost() -> None:
    film = HIDING[0]
    with sending(Broadcast(film, packing=Packing(400), loss=0.1)) as server:
        command = [sys.executable, "-c", VIEW, server.url, str(film.last_key)]
        done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
