"""The child of `tests.damaged.fuzz`: decodes the files of a folder and prints a line for each."""

import re
import resource
import sys
import time
from pathlib import Path

from tests.damaged.digests import digest

ALL_BYTES = 4 << 30  # of address space: the child must run out of memory before the machine does


def look(content: bytes) -> str:
    began_s = time.thread_time()
    try:
        text = digest(content)
    except Exception as exc:  # noqa: BLE001 - every exception is a finding
        text = f"raised {type(exc).__name__}: {exc}"
    return f"{time.thread_time() - began_s:.3f} {peak_bytes()} {text.splitlines()[0]}\n"


def peak_bytes() -> int:
    """Return this process's peak memory. `ru_maxrss` would start with the parent's memory."""
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(line) * 1024


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (ALL_BYTES, ALL_BYTES))
    for _file in sorted(Path(sys.argv[1]).iterdir()):
        sys.stdout.write(look(_file.read_bytes()))
        sys.stdout.flush()
