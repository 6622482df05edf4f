"""The child process of `engines.checks.bounded`: limits itself, checks one bundle, answers, ends.

Libraries are imported after the limits are set. Nothing is unpickled: four byte strings come in,
one JSON object goes out.
"""

import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from engines.errors import DeviceError, EngineError

GRACE_CPU_S = 5  # between SIGXCPU and SIGKILL
MESSAGE_CHARACTERS = 2000
MOST_COMPLAINTS = 100
NO_MEMORY = ("bad_alloc", "bad allocation", "Failed to allocate memory")  # words of ONNX Runtime


def main(arguments: Sequence[str]) -> None:
    """Check the bundle that comes over the connection, and send what was found."""
    number, memory_bytes, cpu_s, threads = map(int, arguments)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, cpu_s, hard=cpu_s + GRACE_CPU_S)
    _limit(resource.RLIMIT_AS, memory_bytes)
    with suppress(OSError):  # where memory ends first, the system ends this process, not a worker
        Path("/proc/self/oom_score_adj").write_text("1000")
    line = Connection(number)
    source, described, encoder, head = (line.recv_bytes() for _ in range(4))
    threading.Thread(target=_end_with_parent, args=(line,), daemon=True).start()
    line.send_bytes(json.dumps(_found(source, described, encoder, head, threads)).encode())


def _end_with_parent(line: Connection) -> None:
    """End when the parent closes the connection or dies: nothing else comes over it."""
    line.poll(None)
    os._exit(1)


def _found(
    source: bytes, described: bytes, encoder: bytes, head: bytes, threads: int
) -> Mapping[str, object]:
    try:
        complaints = _check(source.decode(), described, encoder, head, threads)
    except MemoryError:
        return {"kind": "memory"}
    except EngineError as exc:
        if _lacks_memory(exc):
            return {"kind": "memory"}
        where = f"{source.decode()}: " if isinstance(exc, DeviceError) else ""
        return {"kind": type(exc).__name__, "message": _one_line(f"{where}{exc}")}
    except Exception as exc:  # noqa: BLE001 - a foreign graph can raise anything in three libraries
        words = f"{source.decode()}: its graphs cannot be checked: {type(exc).__name__}: {exc}"
        return {"kind": "BundleError", "message": _one_line(words)}
    return {"kind": "passed", "complaints": [*map(_one_line, complaints[:MOST_COMPLAINTS])]}


def _check(
    source: str, described: bytes, encoder: bytes, head: bytes, threads: int
) -> Sequence[str]:
    from engines.checks.rewriting import check_rewriting
    from engines.checks.verify import promised, verify
    from engines.model.bundle import bundle_of, check_graphs
    from engines.model.lint import complaints
    from engines.onnxrt import onnxruntime_engine

    _limit(resource.RLIMIT_FSIZE, 0)
    bundle = bundle_of(described, encoder=encoder, head=head, source=source)
    check_graphs(bundle)
    engine = onnxruntime_engine(bundle, threads)
    verify(engine, bundle, precision=promised(bundle))
    engine.close()  # its memory is the next one's
    check_rewriting(bundle, threads)
    return complaints(bundle)


def _one_line(words: str) -> str:
    """Libraries quote names of a foreign graph: escape what is not printable, and end somewhere."""
    line = " ".join(words.split())[:MESSAGE_CHARACTERS]
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _lacks_memory(exc: BaseException | None) -> bool:
    """Whether memory was missing somewhere below this error."""
    while exc is not None:
        if isinstance(exc, MemoryError) or any(words in str(exc) for words in NO_MEMORY):
            return True
        exc = exc.__cause__
    return False


def _limit(what: int, soft: int, *, hard: int | None = None) -> None:
    """Lower a limit; a lower one that is there already stays."""
    _, most = resource.getrlimit(what)
    wanted = soft if hard is None else hard
    hard = wanted if most == resource.RLIM_INFINITY else min(most, wanted)
    with suppress(ValueError, OSError):  # macOS knows some limits by name only
        resource.setrlimit(what, (min(soft, hard), hard))


if __name__ == "__main__":
    main(sys.argv[1:])
