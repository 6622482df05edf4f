"""`python -m tests.gpu_hour --json hour.json`: what can be learnt from a GPU in ten minutes.

For whoever has one for an hour. It runs in parts, so that a machine with a driver and pycuda but
without TensorRT shows what it can. Every part ends as `passed`, `failed` or `skipped`, with the
reason; the exit code is 1 if one has failed. Send us the file, and docs/gpu.md gets a row.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import numpy as np
import typer

from engines.errors import EngineError, EngineUnavailableError
from engines.model.bundle import find_bundle, load_bundle
from engines.tensorrt.parts import find_driver, find_machine
from tests.gpu import gpu_engine

Facts = dict[str, Any]
ROOT = Path(__file__).parents[1]
PART_S = 150.0  # the longest that a part may take; most take seconds
STREAMS = (64, 1024, 4096)
NUMBERS = 1 << 20  # of a copy
BUNDLE = "actions"


class FailedError(Exception):
    """A part has found something wrong. The message says what."""


class SkippedError(Exception):
    """A part cannot run here. The message says what is missing."""


def driver() -> Facts:
    """What the driver finds, by pycuda or cuda-bindings: without TensorRT."""
    cuda = find_driver()
    cuda.init()
    found = [cuda.Device(number) for number in range(cuda.Device.count())]
    if not found:
        raise SkippedError("the driver finds no GPU")
    gpus = [
        {
            "name": device.name(),
            "capability": list(device.compute_capability()),
            "memory_bytes": device.total_memory(),
        }
        for device in found
    ]
    return {"through": cuda.__name__, "driver": cuda.get_driver_version(), "gpus": gpus}


def memory() -> Facts:
    """Pinned and device memory, copies in the order in which they are queued, and their speed."""
    find_driver()
    from engines.tensorrt.driver.device import Device

    with closing(Device()) as device:
        there, back = (device.pinned((NUMBERS,), np.float32) for _ in range(2))
        there[:] = np.arange(NUMBERS)
        first, second = (device.allocate(there.nbytes) for _ in range(2))
        began = monotonic()
        device.upload(first, there)
        device.copy(second, first, there.nbytes)
        device.clear(first, there.nbytes)  # behind the copy from it
        device.download(back, second)
        device.wait()
        took_s = monotonic() - began
        same = bool((back == there).all())
        device.download(back, first)
        device.wait()
        _require(same, "a copy came back changed")
        _require(not back.any(), "memory was not cleared behind the copy from it")
        return {"copied_bytes": 4 * there.nbytes, "seconds": took_s}


def capture() -> Facts:
    """A copy is recorded as a CUDA graph and replayed with other contents."""
    find_driver()
    from engines.tensorrt.driver.capture import Recorder
    from engines.tensorrt.driver.device import Device

    with closing(Device()) as device:
        there, back = (device.pinned((NUMBERS,), np.float32) for _ in range(2))
        at = device.allocate(there.nbytes)

        def enqueue() -> None:
            device.upload(at, there)
            device.download(back, at)

        recorder = Recorder(device.stream)
        recording = recorder.record(enqueue)
        if recording is None:
            raise SkippedError(recorder.failure)
        with closing(recording):
            for number in (1.0, 2.0):
                there[:] = number
                recording.replay()
                device.wait()
                _require(bool((back == number).all()), "a replay did not copy what was there")
    return {"replays": 2}


def contract() -> Facts:
    """The contract suite of all engines, on the GPU."""
    _machine()
    return _tested("tests/contracts/test_engine.py")


def verify() -> Facts:
    """Each precision against ONNX Runtime over a clip, and the speed of both."""
    _machine()
    asked = {
        "float16": ("--engine", "tensorrt", "--precision", "float16"),
        "float32": ("--engine", "tensorrt", "--precision", "float32"),
        "onnxruntime": ("--engine", "onnxruntime"),
    }
    command = ("pipeline", "engine", "verify", BUNDLE, "--json")
    return {name: json.loads(_command(*command, *options)) for name, options in asked.items()}


def tables() -> Facts:
    """Device memory for so many streams, and what one of them adds."""
    _machine()
    bundle = load_bundle(find_bundle(BUNDLE))
    with closing(gpu_engine(bundle, half=True)) as engine:
        taken = {}
        for streams in STREAMS:
            engine.reserve(streams)
            taken[streams] = engine.facts.memory_bytes if engine.facts else 0
    least, most = STREAMS[0], STREAMS[-1]
    each = (taken[most] - taken[least]) / (most - least)
    return {"bytes": {str(n): size for n, size in taken.items()}, "bytes_a_stream": each}


def failover() -> Facts:
    """Real workers on a real Kafka are killed; their predictions are those of ONNX Runtime."""
    _machine()
    return _tested("tests/faults/test_gpu.py")


PARTS: dict[str, Callable[[], Facts]] = {
    part.__name__: part for part in (driver, memory, capture, contract, verify, tables, failover)
}


def main(
    json_file: Annotated[Path, typer.Option("--json", help="Where the report goes.")],
    parts: Annotated[str, typer.Option(help="Some of them.")] = ",".join(PARTS),
) -> None:
    """Run the parts one after the other, each in a process of its own: a GPU's error is sticky."""
    chosen = parts.split(",")
    if unknown := set(chosen) - PARTS.keys():
        raise typer.BadParameter(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    report: Facts = {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    for name in chosen:
        report[name] = _apart(name)
        typer.echo(f"{name}: {report[name]['ending']} {report[name].get('why', '')}")
        json_file.write_text(json.dumps(report, indent=1) + "\n")  # after each: a GPU may hang
    failed = [name for name in chosen if report[name]["ending"] == "failed"]
    raise typer.Exit(1 if failed else 0)


def _apart(name: str) -> Facts:
    """Run one part in a child process, and say how it ended."""
    began = monotonic()
    command = [sys.executable, "-m", "tests.gpu_hour", "--part", name]
    try:
        child = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=PART_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {"ending": "failed", "why": f"not done after {PART_S:.0f} s"}
    seconds = round(monotonic() - began, 1)
    try:
        return {**json.loads(child.stdout.splitlines()[-1]), "seconds": seconds}
    except (IndexError, ValueError):
        last = " ".join(child.stderr.splitlines()[-3:])
        return {"ending": "failed", "why": f"ended with {child.returncode}: {last}"}


def ended(name: str) -> Facts:
    """Run one part here, and say how it ended."""
    try:
        return {"ending": "passed", **PARTS[name]()}
    except (SkippedError, EngineUnavailableError) as exc:
        return {"ending": "skipped", "why": str(exc)}
    except (FailedError, EngineError) as exc:
        return {"ending": "failed", "why": str(exc)}


def _machine() -> None:
    """Skip the part where TensorRT, pycuda or a GPU is missing."""
    find_machine()


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - what is required
    if not holds:
        raise FailedError(otherwise)


def _tested(file: str) -> Facts:
    chosen = ("-m", "gpu and not slow", "-p", "no:cacheprovider")
    return {"said": _command("pytest", "-q", *chosen, file).splitlines()[-1]}


def _command(*words: str) -> str:
    """Run a module, and return what it prints. Raises `FailedError` with its last lines."""
    child = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if child.returncode:
        last = "\n".join((child.stdout + child.stderr).splitlines()[-5:])
        raise FailedError(f"{' '.join(words)} ended with {child.returncode}: {last}")
    return child.stdout


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        print(json.dumps(ended(sys.argv[2])))  # noqa: T201 - the parent reads it
    else:
        typer.run(main)
