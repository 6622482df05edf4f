"""The report's charts: figures in, SVG out. The only user of matplotlib."""

from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from engines.train.evaluation.answers import UNKNOWN
from engines.train.evaluation.evaluate import Evaluation, Strip
from engines.train.evaluation.facts import Facts, reset_words, tests_of, title
from engines.train.evaluation.timing import segments

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#6b7280"  # Okabe and Ito's
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "longtake",  # the same figures give the same bytes
    "text.parse_math": False,  # a label may contain a dollar
}


def draw(evaluation: Evaluation) -> dict[str, str]:
    """Draw all charts: name -> SVG."""
    facts: Facts = dict(evaluation.facts)
    tests = tests_of(facts)
    first = next(iter(tests.values()))
    with mpl.rc_context(STYLE):
        return {
            "strip": _draw_strip(evaluation.strip, facts["labels"], facts["rate_hz"]),
            "since_onset": _draw_since_onset(first),
            "resets": _draw_resets(facts),
            "reliability": _draw_reliability(tests),
            "classes": _draw_classes(tests, facts["labels"]),
            "confusion": _draw_confusion(first, facts["labels"]),
        }


def _draw_strip(strip: Strip, labels: Sequence[str], rate_hz: float) -> str:
    """One stream from left to right, a colour for each label: truth and answers."""
    colours = _colours(len(labels))
    figure = Figure((10, 2.6), layout="constrained")
    axes = figure.subplots()
    names = list(strip.rows)[::-1]  # the first row is the highest
    for row, name in enumerate(names):
        for one in segments(strip.rows[name]):
            length_s, start_s = (one.end - one.start) / rate_hz, one.start / rate_hz
            axes.barh(row, length_s, 0.8, start_s, color=colours[one.label])
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, len(strip.rows["truth"]) / rate_hz)
    axes.set_xlabel("seconds")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    seen = sorted({int(label) for row in strip.rows.values() for label in row} - {UNKNOWN})
    patches = [Patch(color=colours[k], label=labels[k]) for k in seen]
    figure.legend(handles=patches, loc="outside upper center", ncols=10, frameon=False, fontsize=9)
    return _svg(figure)


def _draw_since_onset(test: Facts) -> str:
    """How accuracy grows with the time since an action began, with memory and without."""
    times = test["since_onset"]["from_s"]
    figure = Figure((9, 4), layout="constrained")
    axes = figure.subplots()
    curves = {
        "memory carried": (test["since_onset"]["accuracy"], BLUE, "o-"),
        "forgotten every 15 frames": (test["reset_every"]["15"]["since_onset"], GREEN, "s-"),
        "forgotten every frame": (test["reset_every"]["1"]["since_onset"], GREY, "^-"),
    }
    if "frame_only" in test:
        curves["best frame-only head"] = (test["frame_only"]["since_onset"], ORANGE, "D--")
    for name, (values, colour, line) in curves.items():
        axes.plot(range(len(times)), _numbers(values), line, color=colour, label=name, ms=5)
    names = [f"{a:.2g} to {b:.2g}" for a, b in pairwise(times)]
    axes.set_xticks(range(len(times)), [*names, f"{times[-1]:.2g} and more"])
    axes.set_xlabel("seconds since the action began")
    _finish(axes, "share of frames right")
    axes.legend(frameon=False, loc="upper left", fontsize=9)
    return _svg(figure)


def _draw_resets(facts: Facts) -> str:
    """Accuracy by how often the memory is lost."""
    names = list(facts["reset_every"])
    figure = Figure((9, 3.8), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(names))
    for shift, key, colour, label in (
        (-0.2, "reset_every", BLUE, "all frames"),
        (0.2, "reset_every_after_1s", GREEN, "from 1 s into an action"),
    ):
        heights = _numbers(facts[key].values())
        bars = axes.bar(places + shift, heights, 0.38, color=colour, label=label)
        axes.bar_label(bars, [_percent(height) for height in heights], fontsize=9, padding=2)
    if "frame_only" in facts:
        only = facts["frame_only"]["accuracy"]
        name = f"best frame-only head, all frames: {_percent(only)}"
        axes.axhline(only, color=ORANGE, ls="--", label=name)
    axes.set_xticks(places, [reset_words(name) for name in names])
    axes.set_xlabel("how often the memory is lost")
    _finish(axes, "share of frames right")
    axes.legend(frameon=False, loc="upper left", fontsize=9)
    axes.set_ylim(0, 1.15)
    return _svg(figure)


def _draw_reliability(tests: Mapping[str, Facts]) -> str:
    """Accuracy by confidence; the area of a dot is the number of frames."""
    figure = Figure((4.6, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":")
    for (name, test), colour in zip(tests.items(), _hues(tests), strict=True):
        table = test["reliability"]
        claimed, true = _numbers(table["confidence"]), _numbers(table["accuracy"])
        areas = 400 * np.array(table["frames"]) / max(1, sum(table["frames"])) + 5
        label = f"{title(name)}: error {_percent(test['ece'], 1)}"
        axes.plot(claimed, true, color=colour, lw=1.5, label=label)
        axes.scatter(claimed, true, areas, color=colour)
    axes.set_xlim(0, 1)
    axes.set_xlabel("confidence")
    _finish(axes, "share of frames right")
    axes.legend(frameon=False, loc="upper left", fontsize=9)
    return _svg(figure)


def _draw_classes(tests: Mapping[str, Facts], labels: Sequence[str]) -> str:
    """How many frames of each class were answered right, test by test."""
    figure = Figure((10, 3.4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(tests)
    for i, ((name, test), colour) in enumerate(zip(tests.items(), _hues(tests), strict=True)):
        heights = _numbers([test["by_class"][label]["accuracy"] for label in labels])
        shift = (i - (len(tests) - 1) / 2) * width
        bars = axes.bar(
            np.arange(len(labels)) + shift, heights, width * 0.95, color=colour, label=title(name)
        )
        axes.bar_label(bars, [f"{h * 100:.0f}" for h in heights], fontsize=8, padding=1)
    axes.set_xticks(range(len(labels)), labels)
    _finish(axes, "share of frames right")
    figure.legend(loc="outside upper right", ncols=len(tests), frameon=False)
    return _svg(figure)


def _draw_confusion(test: Facts, labels: Sequence[str]) -> str:
    """Answered labels (across) by true label (down), in percent of each row."""
    counts = np.array(test["confusion"], float)
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    side = 2 + 0.52 * len(labels)
    figure = Figure((side, side * 0.92), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(shares >= 0.005):
        colour = "white" if shares[row, column] > 0.55 else "black"
        text = f"{100 * shares[row, column]:.0f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("answered")
    axes.set_ylabel("true")
    return _svg(figure)


def _svg(figure: Any) -> str:
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _finish(axes: Any, label: str) -> None:
    axes.set_ylim(0, 1)
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter(lambda share, _: _percent(share))
    axes.grid(axis="y", color="#e5e7eb")
    axes.set_axisbelow(True)


def _colours(count: int) -> list[Any]:
    if count <= 10:
        return list(mpl.colormaps["tab10"].colors[:count])
    return list(mpl.colormaps["turbo"](np.linspace(0, 1, count)))


def _hues(tests: Mapping[str, Facts]) -> list[str]:
    return [(BLUE, ORANGE, GREEN, GREY)[i % 4] for i in range(len(tests))]


def _numbers(values: Any) -> Any:
    """Numbers to draw: null becomes NaN, which is not drawn."""
    return np.array([np.nan if value is None else value for value in values], float)


def _percent(share: float | None, digits: int = 0) -> str:
    return "" if share is None or np.isnan(share) else f"{share:.{digits}%}"
