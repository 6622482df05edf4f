"""`python -m tests.cameras.matrix`: views all sources, and writes the table of docs/cameras.md.

Exit 1, and no table, if a picture was wrong that could be known, or was missing without loss.
"""

import datetime
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory

from tests.cameras.matrix.sources import (
    GstSource,
    OwnSource,
    Source,
    fault,
    gst_combinations,
    own_combinations,
)
from tests.cameras.matrix.table import PAGE, put_into, table
from tests.cameras.matrix.viewing import Verdict
from tests.cameras.rtsp import RtspServer

AT_ONCE = 12  # cameras of one GStreamer server


def main() -> int:
    results, faults = list[tuple[Source, Verdict]](), 0
    for source, verdict in all_judged():
        results.append((source, verdict))
        words = fault(source, verdict)
        faults += words is not None
        print(f"{len(results)}: {words or 'good'}: {verdict} {source}", file=sys.stderr)  # noqa: T201
    text = table(sorted(results, key=_place))
    print(text)  # noqa: T201
    if faults:
        return 1
    today = datetime.datetime.now(datetime.UTC).date()
    made = f"Made by `python -m tests.cameras.matrix` on {today}:"
    PAGE.write_text(put_into(PAGE.read_text(), f"\n{made}\n\n{text}\n"))
    return 0


def all_judged() -> Iterator[tuple[Source, Verdict]]:
    """View all sources: those of GStreamer beside our own, because all wait for pictures."""
    judged = Queue[tuple[Source, Verdict] | None]()
    ways = (_own(), _cameras())
    with ThreadPoolExecutor(len(ways)) as pool:
        running = [pool.submit(_judge, way, judged) for way in ways]
        for _ in ways:
            yield from iter(judged.get, None)
        for one in running:
            one.result()  # raises what its thread raised


def _judge(
    way: Iterator[tuple[Source, Verdict]], judged: "Queue[tuple[Source, Verdict] | None]"
) -> None:
    try:
        for one in way:
            judged.put(one)
    finally:
        judged.put(None)


def _own() -> Iterator[tuple[Source, Verdict]]:
    for one in own_combinations():
        own = OwnSource(**one)
        yield own, own.judge()


def _cameras() -> Iterator[tuple[Source, Verdict]]:
    cameras = [GstSource(**one) for one in gst_combinations()]
    for begin in range(0, len(cameras), AT_ONCE):
        yield from _served(cameras[begin : begin + AT_ONCE])


def _served(cameras: Sequence[GstSource]) -> Iterator[tuple[Source, Verdict]]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        with RtspServer(*(camera.mount(folder) for camera in cameras)) as server:
            for camera in cameras:
                yield camera, camera.judge(server, folder)


def _place(one: tuple[Source, Verdict]) -> tuple[str, bool, bool, str, float]:
    source, _ = one
    return source.codec, source.cabac, source.checksums, type(source).__name__, source.loss


if __name__ == "__main__":
    sys.exit(main())
