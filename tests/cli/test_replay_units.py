"""H.264 on a real Kafka: a worker dies in the middle of its groups, and its replay agrees."""

import signal

import pytest

from pipeline.wire.frames import frame_headers
from tests.cli.commands import Group, Longtake, Start, write_settings
from tests.cli.test_replay import bundle_of
from tests.pipeline.media.video.encoding import FRAMES, encoded

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

STREAMS = ["cam-0", "cam-1", "cam-2"]
LOST = 23  # a unit of the first stream that never arrives: it breaks a group of ten


def film(group: Group, first: int, last: int) -> None:
    units = encoded("cabac")
    for n in range(first, last):
        for k, stream in enumerate(STREAMS):
            if (k, n) != (0, LOST):
                headers = frame_headers(
                    captured_us=1_700_000_000_000_000 + n * 100_000,
                    seq=n,
                    epoch=1,
                    content_type="video/h264",
                )
                group.cluster.publish(k % 2, stream.encode(), units[n], headers)


def test_streams_of_units_go_on_in_another_worker_as_if_nothing_had_happened(
    group: Group, start: Start, longtake: Longtake
) -> None:
    hasty = {"session_timeout_s": 3, "heartbeat_s": 0.3, "transaction_timeout_s": 1.5}
    write_settings(group.file, group.cluster, bundle=bundle_of(group), **hasty)
    workers = [start("worker", "--config", group.file).ready() for _ in range(2)]
    film(group, 0, 15)
    group.predictions(15 * len(STREAMS))
    film(group, 15, 17)
    workers[0].end(signal.SIGKILL)
    film(group, 17, FRAMES)
    whole = FRAMES * len(STREAMS) - 7  # one is lost, one is a dead letter, five are unkeyed
    group.predictions(whole)
    workers[1].end(signal.SIGTERM)

    audited = longtake("audit", "--config", group.file, "--json")
    assert audited.code == 0, audited.out
    ended = longtake("replay", "--config", group.file, "--diff", "--json")
    assert ended.code == 0, ended.err
    counts = ended.json["diff"]["counts"]
    assert (counts["replayed"], counts["same"], counts["differing"]) == (whole, whole, 0)
    assert ended.json["fates"] == {"predicted": whole, "dead_lettered": 1, "unkeyed": 5}
