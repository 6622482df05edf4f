"""One run from its start to its outcome."""

import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pipeline.connection import Connection
from pipeline.wire.belongings.ownership import publisher_of
from pipeline.wire.predictions import Prediction
from tests.chaos.logs import read_all
from tests.chaos.side_by_side.cameras import Cameras
from tests.chaos.side_by_side.outcome import Outcome, SideResult
from tests.chaos.side_by_side.pair import Pair
from tests.chaos.side_by_side.sides import Side
from tests.deploy.watching import Prometheus, watching

SETTLE_S = 90.0
SILENT_FOR_S = 12.0  # how long one group's workers stand still, if nobody watches
KILL_S = (4.0, 12.0)
OF_ABSENCE = {"GroupWithoutWorkers"}
"""The alert that is judged. Of others both groups may have some: minutes are seconds here, so a
slow machine, a worker that was killed just before, or a bad record is reason enough."""


def run(
    connection: Connection,
    sides: tuple[Side, Side],
    frames: str,
    *,
    seconds: float,
    seed: int,
    folder: Path,
    prometheus: str | None,
    say: Callable[[str], None],
) -> Outcome:
    """Let both groups work for a while, kill their workers, and judge what came out.

    `prometheus`: its program; None: nobody watches, and alarms are not judged.
    """
    rng = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    pair = Pair(connection, frames, sides, folder)
    pair.create_topics()
    cameras = Cameras(connection, frames)
    alarms: list[str] | None = None
    with ExitStack() as running:
        running.callback(pair.stop)
        pair.tend()
        watched = None
        if prometheus is not None:
            ports = list(pair.ports.values())
            watched = running.enter_context(
                watching(prometheus, folder / "prometheus", workers=ports, cameras=[])
            )
        cameras.start()
        try:
            _until(lambda: _all_at_work(connection, sides), pair, "predictions of both groups")
            ends_s = time.monotonic() + seconds
            say("killing workers of both groups")
            _kill_for(seconds / 2, pair, rng)
            say(f"all workers of {sides[1].group} stand still")
            alarms = _silence(pair, watched)
            say("killing workers of both groups")
            _kill_for(max(0.0, ends_s - time.monotonic()), pair, rng)
        finally:
            cameras.stop()
        say("no more frames: waiting for the rest")
        _until(lambda: _settled(pair, cameras.published), pair, "the last predictions")
    return Outcome(
        cameras.published,
        [_result(connection, pair, side) for side in sides],
        alarms,
        [sides[1].group],
        pair.exits,
    )


def _all_at_work(connection: Connection, sides: Sequence[Side]) -> bool:
    return all(read_all(connection.bootstrap, side.predictions) for side in sides)


def _until(look: Callable[[], bool], pair: Pair, what: str) -> None:
    deadline_s = time.monotonic() + SETTLE_S
    while not look():
        assert time.monotonic() < deadline_s, f"waited for {what}: {pair.last_words()}"
        pair.tend()
        time.sleep(0.5)


def _kill_for(seconds: float, pair: Pair, rng: random.Random) -> None:
    ends_s = time.monotonic() + seconds
    while (left_s := ends_s - time.monotonic()) > 0:
        next_s = time.monotonic() + min(left_s, rng.uniform(*KILL_S))
        while time.monotonic() < next_s:
            pair.tend()
            time.sleep(0.1)
        pair.kill_any(rng)
    pair.tend()


def _silence(pair: Pair, watched: Prometheus | None) -> list[str] | None:
    """Stop one group, and return the groups of the alerts that fire then."""
    silent = pair.silent = pair.sides[1]
    for slot in silent.slots:
        pair.kill(silent, slot)
    try:
        if watched is None:
            time.sleep(min(SILENT_FOR_S, 2.0))
            return None
        deadline_s = time.monotonic() + SETTLE_S
        while ("GroupWithoutWorkers", silent.group) not in (found := _firing(watched)):
            assert time.monotonic() < deadline_s, f"no alert of {silent.group}: {found}"
            pair.tend()
            time.sleep(0.5)
        time.sleep(SILENT_FOR_S)
        found = _firing(watched)
        print(f"firing: {sorted(found)}", file=sys.stderr)  # noqa: T201 - shown beside the result
        return sorted({group for name, group in found if name in OF_ABSENCE})
    finally:
        pair.silent = None


def _firing(watched: Prometheus) -> set[tuple[str, str]]:
    alerts = watched.get("/api/v1/alerts")["data"]["alerts"]
    return {
        (one["labels"]["alertname"], one["labels"]["group"])
        for one in alerts
        if one["state"] == "firing" and "group" in one["labels"]
    }


def _settled(pair: Pair, published: int) -> bool:
    return all(sum(_audited(pair, side)[1:]) >= published for side in pair.sides)


def _audited(pair: Pair, side: Side) -> tuple[dict[str, Any], int, int]:
    """Return an audit, and how many frames the ledger says are predicted and dead-lettered."""
    ended = pair.command("audit", *pair.options(side), "--json")
    assert ended.returncode in (0, 1), ended.stderr
    told = json.loads(ended.stdout)
    newest = [life for life in told["lives"] if life["predicted"] is not None]
    predicted = sum(life["predicted"]["ledger"] for life in newest)
    return told, predicted, sum(life["dead_lettered"]["ledger"] for life in newest)


def _result(connection: Connection, pair: Pair, side: Side) -> SideResult:
    told, predicted, dead = _audited(pair, side)
    predictions = read_all(connection.bootstrap, side.predictions)
    letters = read_all(connection.bootstrap, side.dead_letters)
    return SideResult(
        side.group,
        predicted,
        dead,
        told["breaks"],
        told["others"],
        sum(publisher_of(record) != side.group for record in (*predictions, *letters)),
        sorted({Prediction.read(record.value).model for record in predictions}),
        pair.kills[side.group],
    )
