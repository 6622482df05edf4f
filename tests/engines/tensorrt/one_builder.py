"""`python -m tests.engines.tensorrt.one_builder FOLDER`: a process that wants a plan, and tells."""

import sys
from pathlib import Path

from engines.tensorrt.plans import PlanCache, PlanFacts

FACTS: PlanFacts = {"gpu": "one", "graph_sha256": "ab"}


def main(folder: Path) -> None:
    """Find the plan, or make it as soon as somebody writes a line."""
    cache = PlanCache(folder)
    say("asks")
    with cache.locked(FACTS):
        if cache.load(FACTS) is not None:
            say("finds")
            return
        say("builds")
        sys.stdin.readline()
        cache.store(FACTS, b"plan")


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
