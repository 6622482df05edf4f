"""The child of `tests.damaged.fuzz`: decodes the files of a folder and prints a line for each."""

import resource
import sys
import time
from pathlib import Path

from tests.damaged.digests import digest


def look(content: bytes) -> str:
    began_s = time.thread_time()
    try:
        text = digest(content)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is a finding
        text = f"raised {type(exc).__name__}: {exc}"
    return f"{time.thread_time() - began_s:.3f} {text.splitlines()[0]}\n"


if __name__ == "__main__":
    _folder, _most_bytes = Path(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (_most_bytes, _most_bytes))
    for _file in sorted(_folder.iterdir()):
        sys.stdout.write(look(_file.read_bytes()))
        sys.stdout.flush()
