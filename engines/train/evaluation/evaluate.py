"""The whole measurement: a bundle and a data set in, figures and one example stream out."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from pydantic import JsonValue
from rich.progress import Progress

from engines.checks.verify import to_scores
from engines.host import HostEngine
from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from engines.train.evaluation.answers import (
    UNKNOWN,
    Answers,
    Ints,
    count_onsets,
    side_by_side,
)
from engines.train.evaluation.demo import SEED, STREAMS, demo_data
from engines.train.evaluation.facts import TEST, Facts, alone_facts, measure_test, plain
from engines.train.evaluation.frame_only import HEADS, FrameOnly, train_frame_only
from engines.train.evaluation.labelled import DataSet, StreamSet
from engines.train.evaluation.rolled import Rolled, roll_set
from engines.train.rolling import NEVER

RESETS = (1, 5, 15, 60, NEVER)  # frames
THREADS = 2
LIBRARIES = ("numpy", "onnxruntime", "scikit-learn", "torch")


@dataclass(frozen=True, slots=True)
class Strip:
    """An example stream for the report: rows of labels (T,) by name, `truth` first."""

    stream: str
    rows: Mapping[str, Ints]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result. `facts` is what `--json` prints; only the report shows the strip."""

    facts: dict[str, JsonValue]
    strip: Strip


def evaluate(bundle: Bundle, data: DataSet, progress: Progress) -> Evaluation:
    """Measure a bundle on every test of a data set. Raises `BundleError`."""
    engine = onnxruntime_engine(bundle, THREADS)
    head = None
    if data.training is not None:
        seen = _roll(engine, data.training, "training streams", (), progress)
        head = _train(seen, bundle, progress)
    tests: dict[str, Facts] = {}
    strips = []
    for name, streams in data.tests.items():
        rolled = _roll(engine, streams, f"test {name}", RESETS, progress)
        about = {"about": streams.about}
        tests[TEST + name] = about | _measure(rolled, head, bundle, data.rate_hz)
        strips.append(_strip(rolled, head))
    engine.close()
    return Evaluation(plain(_about(bundle, data) | _summary(tests, head) | tests), strips[0])


def card(bundle: Bundle, progress: Progress) -> dict[str, JsonValue]:
    """Measure a bundle of the ten actions as `longtake evaluate` does, for its model.json."""
    return evaluate(bundle, demo_data(bundle, seed=SEED, streams=STREAMS), progress).facts


def _roll(
    engine: HostEngine,
    streams: StreamSet,
    what: str,
    resets: Sequence[int],
    progress: Progress,
) -> list[Rolled]:
    task = progress.add_task(what, total=streams.frames)
    return roll_set(
        engine, streams, resets=resets, advance=lambda count: progress.advance(task, count)
    )


def _train(streams: Sequence[Rolled], bundle: Bundle, progress: Progress) -> FrameOnly:
    task = progress.add_task("frame-only heads", total=len(HEADS))
    return train_frame_only(
        streams, classes=len(bundle.labels), advance=lambda: progress.advance(task)
    )


def _measure(
    rolled: Sequence[Rolled], head: FrameOnly | None, bundle: Bundle, rate_hz: float
) -> Facts:
    truth = side_by_side([r.labels for r in rolled], fill=UNKNOWN)
    onsets = side_by_side([count_onsets(r.labels) for r in rolled], fill=0)
    answers = {}
    for reset in RESETS:
        logits = side_by_side([r.logits[reset] for r in rolled], fill=0)
        answers[reset] = Answers(to_scores(logits, bundle.activation), truth, onsets, rate_hz)
    facts = measure_test(answers[NEVER], answers, bundle.labels)
    if head is not None:
        logits = side_by_side([head.answer(r.features) for r in rolled], fill=0)
        alone = Answers(to_scores(logits, "softmax"), truth, onsets, rate_hz)
        facts["frame_only"] = alone_facts(alone)
    return facts


def _strip(rolled: Sequence[Rolled], head: FrameOnly | None) -> Strip:
    """Choose the stream with the median accuracy."""
    middle = sorted(rolled, key=_share_right)[len(rolled) // 2]
    rows = {"truth": middle.labels, "with memory": middle.logits[NEVER].argmax(-1)}
    if head is not None:
        rows["frame-only"] = head.answer(middle.features).argmax(-1)
    return Strip(middle.name, rows)


def _share_right(stream: Rolled) -> float:
    right = stream.logits[NEVER].argmax(-1) == stream.labels  # never for unlabelled frames
    return int(right.sum()) / max(1, int((stream.labels != UNKNOWN).sum()))


def _about(bundle: Bundle, data: DataSet) -> Facts:
    return {
        "bundle": bundle.id,
        "labels": list(bundle.labels),
        "data": data.name,
        **data.about,
        "rate_hz": data.rate_hz,
        "versions": {"python": platform.python_version()} | {n: version(n) for n in LIBRARIES},
    }


def _summary(tests: Mapping[str, Facts], head: FrameOnly | None) -> Facts:
    """The main figures of the first test, for the top level of the facts."""
    first = next(iter(tests.values()))
    found: Facts = {
        "streams": sum(test["streams"] for test in tests.values()),
        "frames": sum(test["frames"] for test in tests.values()),
        "reset_every": {name: each["accuracy"] for name, each in first["reset_every"].items()},
        "reset_every_after_1s": {
            name: each["accuracy_after_1s"] for name, each in first["reset_every"].items()
        },
    }
    if head is not None:
        alone = {name: first["frame_only"][name] for name in ("accuracy", "accuracy_after_1s")}
        found["frame_only"] = alone | {
            "head": head.name,
            "held_out": dict(head.held_out),
            "training_streams": head.streams,
        }
    return found
