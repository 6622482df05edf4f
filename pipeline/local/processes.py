"""Starts and ends the Java processes of the local Kafka.

Each process has its own process group, so that Ctrl-C at the terminal reaches only this process,
which then ends them in order. If this process dies, Linux ends them (see `tether`).
"""

import functools
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import IO

from pipeline.errors import LocalKafkaError
from pipeline.local.node_properties import Node

TETHER = Path(__file__).with_name("tether.py")
FORMAT_TIMEOUT_S = 120
FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError",
         "-Djava.awt.headless=true", "-Djava.net.preferIPv4Stack=true")  # fmt: skip

Process = subprocess.Popen[bytes]
StartProcess = Callable[[], Process]


class Java:
    """Runs Kafka's programs with one Java, one class path, one heap size and one environment."""

    def __init__(
        self,
        java: Path,
        jars: str,
        *,
        heap_mb: int,
        environ: Mapping[str, str],
        options: Sequence[str] = (),
    ) -> None:
        self._command = [str(java), f"-Xmx{heap_mb}m", *FLAGS, *options, "-cp", jars]
        self._environ = {**environ, "LC_ALL": "C.UTF-8"}  # for folders with non-ASCII names

    def broker(self, node: Node) -> Process:
        """Start a node."""
        return self._start(node, "kafka.Kafka", node.properties.name)

    def format(self, nodes: Sequence[Node], cluster_id: str) -> None:
        """Format the empty data folders of `nodes`, in parallel."""
        arguments = ("format", "--ignore-formatted", "-t", cluster_id, "-c")
        started = [
            (node, self._start(node, "kafka.tools.StorageTool", *arguments, node.properties.name))
            for node in nodes
        ]
        try:
            for node, process in started:
                if process.wait(FORMAT_TIMEOUT_S):
                    raise LocalKafkaError(
                        f"the data folder {node.folder} could not be formatted\n{last_words(node)}"
                    )
        except subprocess.TimeoutExpired as exc:
            raise LocalKafkaError(f"formatting took more than {FORMAT_TIMEOUT_S} s") from exc
        finally:
            for _, process in started:
                end(process, signal.SIGKILL)
                process.wait()

    def _start(self, node: Node, *program: str) -> Process:
        java = [*self._command, f"-Dlog4j2.configurationFile={node.logging.name}", *program]
        with node.output.open("ab") as output:
            return _start_tethered(java, environ=self._environ, output=output, folder=node.folder)


def end(process: Process, number: signal.Signals) -> None:
    """Send a signal to the process group of a process, unless the process has ended."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):  # it can end between these two lines
            os.killpg(process.pid, number)


def last_words(node: Node, lines: int = 15) -> str:
    """Return the last lines of a node's log files with the file names, for an error message."""
    parts = []
    for file in (node.output, node.log):
        text = file.read_text("utf-8", "replace").splitlines() if file.exists() else []
        if text:
            parts.append("\n  ".join([f"the last lines of {file}:", *text[-lines:]]))
    return "\n".join(parts) or f"{node.folder} holds no log"


def tethered(program: Sequence[str]) -> list[str]:
    """Return a command that runs `program` until it ends, or the *thread* that started it ends."""
    return [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *program]


def _start_tethered(
    program: Sequence[str], *, environ: Mapping[str, str], output: IO[bytes], folder: Path
) -> Process:
    def start() -> Process:
        return subprocess.Popen(  # noqa: S603
            tethered(program),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environ,
            cwd=folder,
            start_new_session=True,
        )

    answer: Future[Process] = Future()
    _starter().put((start, answer))
    return answer.result()


@functools.cache
def _starter() -> "queue.SimpleQueue[tuple[StartProcess, Future[Process]]]":
    """Start a thread that starts all processes, and lives as long as this process.

    Linux sends the death signal when the *thread* that started a process ends, not its process.
    """
    asked: queue.SimpleQueue[tuple[StartProcess, Future[Process]]] = queue.SimpleQueue()

    def serve() -> None:
        while True:
            start, answer = asked.get()
            try:
                answer.set_result(start())
            except OSError as exc:
                answer.set_exception(exc)

    threading.Thread(target=serve, name="local-kafka-starter", daemon=True).start()
    return asked


os.register_at_fork(after_in_child=_starter.cache_clear)  # a forked child has no such thread
