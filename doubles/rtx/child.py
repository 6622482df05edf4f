"""`python -m doubles.rtx.child`: builds the graphs that are named on standard input, one a line.

Each line is JSON: `graph`, a file, and `profiles`, as in `Order`. Each answer is a line of JSON:
`refused`, what was said or "", with `plan_bytes` and `seconds`.
"""

import json
import logging
import sys
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import Any

from doubles.parts import find_rtx
from engines.errors import BuildError

CAPABILITY = (8, 9)


def load() -> None:
    """Let `import tensorrt_rtx` give the genuine one, without the package that only renames it."""
    sys.path.append(str(find_rtx()))
    sys.modules["tensorrt_rtx"] = import_module("tensorrt_rtx_bindings")


def main() -> None:
    """Answer line by line, so that the parent knows at which graph a crash came."""
    logging.disable()  # what matters is in the errors
    load()
    from engines.tensorrt.parts import elsewhere

    elsewhere(CAPABILITY)
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.write(json.dumps(_built(Path(asked["graph"]), asked["profiles"])) + "\n")
        sys.stdout.flush()


def _built(graph: Path, profiles: list[Any]) -> dict[str, Any]:
    from engines.tensorrt.build import build_plan
    from engines.tensorrt.log import TensorRtLog

    began = monotonic()
    try:
        built = build_plan(
            graph.read_bytes(),
            profiles,
            timings=b"",
            progress=lambda *_: None,
            log=TensorRtLog(),
            capability=CAPABILITY,
        )
    except BuildError as exc:
        return {"refused": str(exc), "plan_bytes": 0, "seconds": monotonic() - began}
    return {"refused": "", "plan_bytes": len(built.plan), "seconds": monotonic() - began}


if __name__ == "__main__":
    main()
