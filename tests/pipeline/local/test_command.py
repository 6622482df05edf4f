"""`longtake broker` for its user: one line, a Kafka that works, and nothing left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic

BROKER = "from pipeline.local.command import broker; broker(1, 0, None, None)"
LONGEST_END_S = 30

pytestmark = pytest.mark.kafka


@contextmanager
def running_broker() -> Iterator[tuple[subprocess.Popen[str], str, list[int]]]:
    """Yield the command, the bootstrap address that it printed, and its child process ids."""
    command = [sys.executable, "-c", BROKER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = re.fullmatch(r"bootstrap (127\.0\.0\.1:\d+)\n", process.stdout.readline())
            assert line
            yield process, line[1], children(process.pid)
        finally:
            process.terminate()


def children(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=True)  # noqa: S607
    pairs = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, ppid in pairs if int(ppid) == parent]


def all_end(pids: list[int]) -> bool:
    deadline = time.monotonic() + LONGEST_END_S
    while time.monotonic() < deadline:
        if not [pid for pid in pids if is_running(pid)]:
            return True
        time.sleep(0.05)
    return False


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_and_leaves_no_process(number: signal.Signals) -> None:
    with running_broker() as (process, _, below):
        assert below
        process.send_signal(number)
        assert process.wait(LONGEST_END_S) == 0
        assert not [pid for pid in below if is_running(pid)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has death signals")
def test_its_own_sudden_death_leaves_no_process() -> None:
    with running_broker() as (process, _, below):
        assert below
        process.kill()
        assert all_end(below)


def test_what_is_produced_at_its_address_can_be_consumed_there() -> None:
    with running_broker() as (_, bootstrap, _):
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        admin.create_topics([NewTopic("frames", 1, 1)])
        admin.close()
        producer = KafkaProducer(bootstrap_servers=bootstrap, max_request_size=9 << 20)
        producer.send("frames", bytes(8 << 20)).get(30)
        producer.close()
        consumer = KafkaConsumer(
            "frames", bootstrap_servers=bootstrap, auto_offset_reset="earliest"
        )
        assert len(next(consumer).value) == 8 << 20
        consumer.close()
