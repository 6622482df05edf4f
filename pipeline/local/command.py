"""`longtake broker`: a local Apache Kafka that runs until a signal ends it."""

import shlex
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from pipeline.local.cluster import LocalKafka
from pipeline.local.secure.protection import Secure
from pipeline.text.terminal import Terminal

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_EVERY_S = 1.0


def broker(nodes: int, port: int, data: Path | None, secure: Secure | None) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP. Prints `bootstrap HOST:PORT,...` when all nodes answer.

    Raises LocalKafkaError if a node ends by itself, PortTakenError before any node has started.
    """
    hints = Terminal(stderr=True)
    before = {number: signal.signal(number, _end) for number in ENDING}
    try:
        hints.say("starting Apache Kafka on this machine ...")
        with LocalKafka(nodes=nodes, port=port, data=data, secure=secure) as kafka:
            sys.stdout.write(f"bootstrap {kafka.bootstrap}\n")
            sys.stdout.flush()
            if secure is not None:
                show_next_steps(secure, hints)
            hints.say(f"{_kept(data)} Ctrl-C ends it.")
            while True:
                time.sleep(LOOK_EVERY_S)
                kafka.check()
    except KeyboardInterrupt:
        hints.say("the local Kafka has ended")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def show_next_steps(secure: Secure, hints: Terminal) -> None:
    """Show what to type next, each in a terminal of its own."""
    folder, (_, group) = shlex.quote(str(secure.folder)), secure.groups[0]
    steps = f"""\
Clients need TLS and a login. {secure.folder} has a file for --kafka for each role:
  longtake topics create --kafka {folder}/operator.toml --group {group}
  longtake worker --kafka {folder}/worker.toml --group {group}
  longtake camera VIDEO_OR_URL --kafka {folder}/camera.toml
  longtake tail --kafka {folder}/reader.toml --group {group}
ROLE-mtls.toml reaches it by certificate. The passwords are in {secure.folder}/ROLE.password."""
    for line in steps.splitlines():
        hints.say(line)


def _kept(data: Path | None) -> str:
    if data is None:
        return "Its records are gone when it ends (--data keeps them)."
    return f"Its records are kept in {data}."


def _end(number: int, frame: FrameType | None) -> None:
    """Begin an orderly end at the first signal; further signals must not interrupt it."""
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt
