"""Checks a bundle in a child process with limits of memory and time, before anything else runs it.

A graph of a few hundred bytes can ask for any amount of both, and can crash a native library. Here
that ends the child, and is a `BundleError` that names the limit. The only place that runs a graph
which has never passed its checks.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe

from engines.child_python import module_command, module_environment
from engines.errors import BundleError, DeviceError, EngineError, VerificationError
from engines.model.bundle import Bundle

MEMORY_BYTES = 3 << 30  # of address space; libraries and threads take 0.5 GiB of it
MEMORY_PER_GRAPH_BYTE = 6  # the file, two parsed copies, two runtimes and a sum
CPU_S = 45.0  # of processor time; the demo's bundle takes 1 s, one of 224 x 224 takes 5 s
CPU_S_PER_GRAPH_MIB = 0.25
WALL_PER_CPU = 10  # on a busy machine; nothing that runs in the child waits for anything else
ENDING_S = 10.0  # from its last word to the end of a child
ANSWER_BYTES = 4 << 20
_KINDS = {kind.__name__: kind for kind in (BundleError, VerificationError, DeviceError)}
_QUIET = {  # each thread and each arena of the allocator takes address space
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """What the check of one bundle may take."""

    memory_bytes: int
    cpu_s: float
    wall_s: float

    @classmethod
    def of(cls, bundle: Bundle) -> "CheckLimits":
        """The limits of a bundle, which grow with its real bytes."""
        graph_bytes = len(bundle.encoder) + len(bundle.head)
        cpu_s = CPU_S + CPU_S_PER_GRAPH_MIB * graph_bytes / (1 << 20)
        return cls(
            memory_bytes=MEMORY_BYTES + MEMORY_PER_GRAPH_BYTE * graph_bytes,
            cpu_s=cpu_s,
            wall_s=WALL_PER_CPU * cpu_s,
        )


def check_in_child(
    bundle: Bundle, *, threads: int, limits: CheckLimits | None = None
) -> tuple[str, ...]:
    """Check the graphs, run them on ONNX Runtime, and compare with the oracle, in a child process.

    Returns what TensorRT would refuse. Raises `BundleError`, also where a limit is exceeded or the
    child crashes, `VerificationError` and `DeviceError`. `limits` None means those of its size.
    """
    limits = CheckLimits.of(bundle) if limits is None else limits
    with started_child(limits, threads) as (child, line):
        answer = None
        with suppress(EOFError, OSError):
            for content in (bundle.source.encode(), bundle.described, bundle.encoder, bundle.head):
                line.send_bytes(content)
            if not line.poll(limits.wall_s):
                raise BundleError(
                    f"{bundle.source}: its check did not end within {limits.wall_s:.0f} s, which is"
                    " the limit; no bundle that can serve takes so long"
                )
            answer = line.recv_bytes(ANSWER_BYTES)
        if answer is None:
            raise _died(_end_of(child), bundle, limits)
    found = json.loads(answer)
    if found["kind"] == "passed":
        return tuple(found["complaints"])
    if found["kind"] == "memory":
        raise _too_much_memory(bundle, limits)
    raise _KINDS.get(found["kind"], EngineError)(found["message"])


@contextmanager
def started_child(
    limits: CheckLimits, threads: int
) -> Iterator[tuple["subprocess.Popen[bytes]", Connection]]:
    """Start the child; it ends when this is left. It takes the four parts of a bundle."""
    line, theirs = Pipe()
    number = theirs.fileno()
    facts = [str(number), str(limits.memory_bytes), str(round(limits.cpu_s)), str(threads)]
    child = subprocess.Popen(  # noqa: S603 - our own program, no shell
        [*module_command("engines.checks.bounded_child"), *facts],
        env=module_environment(os.environ, **_QUIET),
        pass_fds=[number],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # native libraries write foreign text there
    )
    theirs.close()  # the child has the only copy: when it dies, we read an end of file
    try:
        yield child, line
    finally:
        line.close()
        child.kill()
        child.wait()


def _end_of(child: "subprocess.Popen[bytes]") -> int:
    """Wait for a child that has closed its connection; return its exit code."""
    with suppress(subprocess.TimeoutExpired):
        return child.wait(ENDING_S)
    child.kill()
    return child.wait()


def _died(code: int, bundle: Bundle, limits: CheckLimits) -> EngineError:
    """Say why the child has ended without an answer."""
    if code == -signal.SIGXCPU:
        return BundleError(
            f"{bundle.source}: its check takes more than {limits.cpu_s:.0f} s of processor time,"
            " which is the limit; no bundle that can serve takes so long"
        )
    if code >= 0:
        return EngineError(
            f"{bundle.source}: the process that checks it ended with exit code {code} before it"
            " began; is the installation complete?"
        )
    return BundleError(
        f"{bundle.source}: its graphs crash the process that checks them"
        f" ({signal.Signals(-code).name}), or take more memory than this machine has or than"
        f" {_gib(limits)} GiB, which is the limit"
    )


def _too_much_memory(bundle: Bundle, limits: CheckLimits) -> BundleError:
    return BundleError(
        f"{bundle.source}: its check takes more than {_gib(limits)} GiB of memory, which is the"
        " limit; no bundle that can serve takes so much"
    )


def _gib(limits: CheckLimits) -> str:
    return f"{limits.memory_bytes / (1 << 30):.1f}"
