"""The workers of both groups: started, killed, restarted, and the commands of their operators."""

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.connection import Connection
from pipeline.local.ports import free_ports
from tests.chaos.side_by_side.cameras import PARTITIONS, STREAMS
from tests.chaos.side_by_side.sides import Side

ROOT = Path(__file__).parents[3]


class Pair:
    """The workers of both groups, each restarted when it ends unless its group is to be silent."""

    def __init__(self, connection: Connection, frames: str, sides: Sequence[Side], folder: Path):
        self.sides, self._folder = sides, folder
        self._connection, self._frames = connection, frames
        places = [(side, slot) for side in sides for slot in side.slots]
        self.ports = dict(zip(places, free_ports(len(places)), strict=True))
        self.kills: Counter[str] = Counter()
        self.exits: list[int] = []
        self.silent: Side | None = None
        self._processes: dict[tuple[Side, str], subprocess.Popen[bytes]] = {}
        self._settings = folder / "worker.toml"
        self._settings.write_text(
            "session_timeout_s = 6\ntransaction_timeout_s = 3\ncheckpoint_s = 0.2\n"
            f"gap_reset_s = 600\nexpected_streams = {json.dumps(STREAMS)}\n"
            f'frames_topic = "{frames}"\n'
        )

    def options(self, side: Side) -> list[str]:
        """Return the flags of every command of a group."""
        return [
            *("--bootstrap", self._connection.bootstrap, "--config", str(self._settings)),
            *("--group", side.group, "--predictions-topic", side.predictions),
            *("--dead-letters-topic", side.dead_letters),
        ]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "pipeline", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )

    def create_topics(self) -> None:
        """Make the topics of both groups."""
        for side in self.sides:
            words = ("topics", "create", *self.options(side), "--partitions", str(PARTITIONS))
            made = self.command(*words)
            assert made.returncode == 0, made.stderr

    def tend(self) -> None:
        """Start what is missing."""
        for (side, slot), port in self.ports.items():
            running = self._processes.get((side, slot))
            if running is not None and running.poll() not in (None, -9):
                self.exits.append(int(running.returncode))
            if (running is None or running.poll() is not None) and side != self.silent:
                self._launch(side, slot, port)

    def _launch(self, side: Side, slot: str, port: int) -> None:
        words = ["worker", *self.options(side), "--bundle", side.bundle, "--slot", slot]
        words += ["--start", "earliest", "--metrics-port", str(port)]
        with (self._folder / f"{side.group}.{slot}.log").open("ab") as log:
            self._processes[side, slot] = subprocess.Popen(
                [sys.executable, "-m", "pipeline", *words], stdout=log, stderr=log, cwd=ROOT
            )

    def kill(self, side: Side, slot: str) -> None:
        """Send SIGKILL."""
        process = self._processes[side, slot]
        process.kill()
        process.wait()
        self.kills[side.group] += 1

    def kill_any(self, rng: random.Random) -> None:
        """Send SIGKILL to one worker of any group."""
        self.kill(*rng.choice(list(self._processes)))

    def stop(self) -> None:
        """End all workers, which commit what they have finished."""
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            if process.poll() is None:
                process.kill()
                process.wait()

    def last_words(self) -> str:
        """Return the ends of the workers' logs."""
        logs = sorted(self._folder.glob("*.log"))
        return "\n".join(f"{log.name}: {log.read_text()[-1500:]}" for log in logs)
