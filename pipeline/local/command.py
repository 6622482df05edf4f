"""`longtake broker`: a local Apache Kafka that runs until it is told to end."""

import signal
import sys
import time
from pathlib import Path
from types import FrameType

from rich.console import Console

from pipeline.local.cluster import LocalKafka

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_EVERY_S = 1.0


def broker(nodes: int, port: int, data: Path | None) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP. `bootstrap HOST:PORT,...` on stdout says: it serves.

    Raises LocalKafkaError if a node ends by itself, PortTakenError before anything has started.
    """
    hints = Console(stderr=True, highlight=False)
    before = {number: signal.signal(number, _end) for number in ENDING}
    try:
        hints.print("starting Apache Kafka on this machine ...")
        with LocalKafka(nodes=nodes, port=port, data=data) as kafka:
            sys.stdout.write(f"bootstrap {kafka.bootstrap}\n")
            sys.stdout.flush()
            hints.print(_kept(data), "Ctrl-C ends it.")
            while True:
                time.sleep(LOOK_EVERY_S)
                kafka.check()
    except KeyboardInterrupt:
        hints.print("the local Kafka has ended")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kept(data: Path | None) -> str:
    if data is None:
        return "Its records are gone when it ends (--data keeps them)."
    return f"Its records are kept in {data}."


def _end(number: int, frame: FrameType | None) -> None:
    """The first signal ends us in order; more of them must not cut that short."""
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt
