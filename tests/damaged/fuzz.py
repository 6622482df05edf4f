"""`python -m tests.damaged.fuzz --minutes 10 --seed 1`: search for damaged pictures that do harm.

Every picture is decoded in a child process. A finding is a picture that kills the child, takes more
than two CPU seconds or 300 MB, raises an exception that it must not, or decodes to other pixels the
second time, with other contents of fresh memory. It is saved; `--replay FILE` decodes it again.
"""

import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from tests.damaged.mutations import mutate
from tests.damaged.seeds import bombs, whole

BATCH = 500
MOST_S, MOST_BYTES = 2.0, 300 << 20  # 24 bytes a pixel for `FRAME_PIXELS`, and the process itself
CHILD_S = 120.0  # for a whole batch
FILLS = ("1", "170")  # glibc fills fresh memory with these bytes


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """How one picture was decoded. `peak_bytes` is the peak memory of its process so far."""

    seconds: float
    peak_bytes: int
    digest: str


def main(
    minutes: Annotated[float, typer.Option(min=0.01, help="How long to try.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Chance begins here.")] = 1,
    out: Annotated[Path, typer.Option(help="Where findings go.")] = Path("build/fuzz"),
    replay: Annotated[Path | None, typer.Option(help="Try one finding again.")] = None,
) -> None:
    """Damage pictures until one does harm. The exit code is 1 if there are findings.

    Example: `python -m tests.damaged.fuzz --minutes 10 --seed 7`
    """
    out.mkdir(parents=True, exist_ok=True)
    if replay is not None:
        harm = judge([replay.read_bytes()], out)
        typer.echo(harm.get(0, "no harm"))
        raise typer.Exit(1 if harm else 0)
    ends_s, tried, findings = time.monotonic() + minutes * 60, 0, Counter[str]()
    for batch in batches(seed):
        for number, what in judge(batch, out).items():
            findings[what] += 1
            typer.echo(f"{what}: {save(batch[number], out)}")
        tried += len(batch)
        if time.monotonic() > ends_s:
            break
    typer.echo(f"{tried} pictures, {findings.total()} findings {dict(findings)}")
    raise typer.Exit(1 if findings else 0)


def batches(seed: int) -> Iterator[list[bytes]]:
    """Yield batches of damaged pictures; some of those that still decode are damaged again."""
    rng = Random(seed)  # noqa: S311 - a seed gives the same pictures again
    pictures = [*list(whole().values()) * 10, *bombs().values()]  # bombs are slow, so they are few
    kept: list[bytes] = []
    while True:
        batch = [
            mutate(rng.choice(kept if kept and rng.random() < 0.3 else pictures), rng)
            for _ in range(BATCH)
        ]
        yield batch
        kept = rng.sample(batch, 50)


def judge(batch: list[bytes], out: Path) -> dict[int, str]:
    """Return the findings of a batch: index of the picture -> what is wrong."""
    one, other = (decode_in_child(batch, out, fill) for fill in FILLS)
    harm: dict[int, str] = {}
    for number in range(len(batch)):
        looks = [looks[number] if number < len(looks) else None for looks in (one, other)]
        if None in looks:
            harm[number] = "kills or hangs its process"
            break  # the pictures behind it were not decoded
        first, second = (look for look in looks if look is not None)
        if first.digest.startswith("raised"):
            harm[number] = first.digest
        elif first.digest != second.digest:
            harm[number] = "looks different in another process"
        elif min(first.seconds, second.seconds) > MOST_S:
            harm[number] = "takes too long"
        elif max(first.peak_bytes, second.peak_bytes) > MOST_BYTES:
            harm[number] = "takes too much memory"
            break  # the peak of the pictures behind it is not known
    return harm


def decode_in_child(batch: list[bytes], out: Path, fill: str) -> list[DecodeResult]:
    """Return the results of the pictures up to the first that kills the child."""
    folder = out / f"batch-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(batch):
        (folder / f"{number:04}").write_bytes(content)
    command = [sys.executable, "-m", "tests.damaged.fuzz_child", str(folder)]
    environment = os.environ | {"MALLOC_PERTURB_": fill}
    try:
        ended = subprocess.run(command, capture_output=True, env=environment, timeout=CHILD_S)
        lines = ended.stdout.decode().splitlines()
    except subprocess.TimeoutExpired as exc:
        lines = (exc.stdout or b"").decode().splitlines()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    words = (line.split(" ", 2) for line in lines)
    return [DecodeResult(float(seconds), int(peak), text) for seconds, peak, text in words]


def save(content: bytes, out: Path) -> str:
    """Save a finding; returns the command that decodes it again."""
    path = out / f"{hashlib.sha256(content).hexdigest()[:16]}.bin"
    path.write_bytes(content)
    return f"python -m tests.damaged.fuzz --replay {path}"


if __name__ == "__main__":
    typer.run(main)
