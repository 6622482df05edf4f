"""`inside.py KIND FOLDER...`: golden files that no command of its own writes. Used by take.py.

Runs with the modules of a checkout, which take.py puts into PYTHONPATH.
"""

import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path


def verdicts(cache: Path, out: Path) -> None:
    """Keep the verdicts that workers have written, and all that their names hang on."""
    from engines import verdicts as ours
    from engines.bundle import find_bundle, load_bundle

    shutil.copytree(cache / "verified", out / "verified")
    facts = {
        "processor": ours._processor(),  # noqa: SLF001 - what the names are made of
        "own_code": ours._own_code(),  # noqa: SLF001
        "versions": {library: version(library) for library in ours.LIBRARIES},
        "digests": {
            "seed": load_bundle(cache.parent / "seed").digest,
            "actions": load_bundle(find_bundle("actions")).digest,
        },
    }
    (out / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")


def plans(out: Path) -> None:
    """Let the double of TensorRT make the plans of a small bundle."""
    from tests.doubles.tensorrt import install

    install()
    from tempfile import TemporaryDirectory

    from engines.tensorrt.engine import TensorRtEngine
    from engines.tensorrt.parts import find_machine
    from engines.tensorrt.plans import PlanCache
    from tests.engines.bundles import tiny

    with TemporaryDirectory() as folder:
        bundle = tiny(Path(folder) / "tiny")
        TensorRtEngine(
            bundle, find_machine(), PlanCache(out), half=False, told=lambda *_: None
        ).close()
    for lock in out.glob("*.lock"):
        lock.unlink()


def training(out: Path) -> None:
    """Train a network of fifteen numbers for three epochs of at most nine."""
    import torch

    from engines.train.checkpoint import Checkpoint
    from engines.train.epochs import train_epochs

    class NoReport:
        """Says nothing."""

        def begin(self, *_: object) -> None: ...

        def reach(self, *_: object) -> None: ...

        def say(self, *_: object) -> None: ...

    torch.manual_seed(7)
    network = torch.nn.Linear(4, 3)
    optimiser = torch.optim.AdamW(network.parameters(), 0.05)
    pictures, labels = torch.randn(30, 4), torch.arange(30) % 3

    def loss() -> torch.Tensor:
        return torch.nn.functional.cross_entropy(network(pictures), labels)

    def step(*_: object) -> None:
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()

    settings = {"recipe": "clips", "seed": 7, "labels": ["left", "rest", "right"], "rate_hz": 15.0}
    train_epochs(
        "golden", network, optimiser, epochs=3, earliest=0, patience=9, seed=7, train=step,
        judge=lambda: loss().item(), checkpoint=Checkpoint(out / "head.pt", settings),
        report=NoReport(),
    )  # fmt: skip


if __name__ == "__main__":
    kinds = {"verdicts": verdicts, "plans": plans, "training": training}
    kinds[sys.argv[1]](*map(Path, sys.argv[2:]))
