"""Lays out and draws what is shown on a frame: label, scores, memory, truth and skeleton."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from engines.model.description import Skeleton
from pipeline.media.pictures import Fit, Points
from pipeline.offline.overlay.canvas import Canvas, Colour, Point, shortened, text_width
from pipeline.wire.predictions import Prediction

TOP = 3  # how many scores are shown

WHITE: Colour = (245, 247, 250)
GREY: Colour = (190, 198, 208)
DARK: Colour = (12, 16, 24)
TEAL: Colour = (45, 212, 191)
BLUE: Colour = (96, 165, 250)
ORANGE: Colour = (251, 146, 60)
AMBER: Colour = (251, 191, 36)
GREEN: Colour = (74, 222, 128)
RED: Colour = (248, 113, 113)

# Strokes in a square of side 1. Colours alone are not enough, as some people cannot distinguish
# green from red, and the font has no such characters.
Mark = tuple[tuple[Point, Point], ...]
TICK: Mark = (((0, 0.55), (0.35, 0.9)), ((0.35, 0.9), (1, 0.1)))
CROSS: Mark = (((0.1, 0.1), (0.9, 0.9)), ((0.1, 0.9), (0.9, 0.1)))


@dataclass(frozen=True, slots=True)
class Caption:
    """The shown part of a prediction."""

    scores: tuple[tuple[str, float], ...]  # the label first, then the next best
    memory_frames: int
    reset: str | None

    @property
    def label(self) -> str:
        """The predicted label."""
        return self.scores[0][0]

    @classmethod
    def of(cls, prediction: Prediction) -> Self:
        """Choose from a prediction what is shown."""
        scores, label = prediction.scores, prediction.label
        others = sorted(scores.keys() - {label}, key=lambda name: (-scores[name], name))
        next_best = ((name, scores[name]) for name in others[: TOP - 1])
        best = ((label, prediction.confidence), *next_best)
        return cls(best, prediction.frames, prediction.reset)


@dataclass(frozen=True, slots=True)
class Alarm:
    """The mark of a reset of the stream's memory."""

    reason: str
    strength: float  # 1 at the reset, then fading to 0


class Panel:
    """Draws captions on pictures of one size. The layout depends on the size and all labels."""

    def __init__(self, labels: tuple[str, ...], shape: Fit) -> None:
        self.shape = shape
        self._small = round(8 + 0.0125 * shape.height)  # letters, pixels
        self._large = round(1.7 * self._small)
        self._edge = round(0.8 * self._small)  # from the picture's edge, and inside of boxes
        longest = max(labels, key=len)
        wanted = text_width(longest, self._large) + text_width("  100 %", self._small)
        self._across = min(max(wanted, 9 * self._small), shape.width - 4 * self._edge)

    def draw(
        self, canvas: Canvas, caption: Caption, *, alarm: Alarm | None, truth: str | None
    ) -> None:
        """Draw everything except the skeleton."""
        memory, colour = f"memory {caption.memory_frames}", WHITE
        if alarm is not None:
            memory, colour = f"{memory}, afresh: {alarm.reason}", AMBER
            self._frame(canvas, alarm.strength)
        self._scores(canvas, caption)
        self._chip(canvas, 0, memory, colour, mark=())
        if truth is not None:
            right = truth == caption.label
            colour, mark = (GREEN, TICK) if right else (RED, CROSS)
            self._chip(canvas, 1, f"true: {truth}", colour, mark=mark)

    def _scores(self, canvas: Canvas, caption: Caption) -> None:
        edge, small = self._edge, self._small
        right = 2 * edge + self._across
        others = len(caption.scores) - 1
        bottom = 2 * edge + self._large + 0.9 * small + others * 1.5 * small + edge
        _backdrop(canvas, edge, edge, right + edge, bottom, small)
        (label, confidence), y = caption.scores[0], 2 * edge + 0.8 * self._large
        self._words(canvas, y, label, confidence, size=self._large, colour=WHITE)
        y += 0.6 * small
        self._bar(canvas, y, confidence, thickness=0.5 * small, colour=TEAL)
        y += 0.4 * small
        for name, score in caption.scores[1:]:
            y += 1.3 * small
            self._words(canvas, y, name, score, size=small, colour=GREY)
            self._bar(canvas, y + 0.25 * small, score, thickness=0.15 * small, colour=GREY)
            y += 0.2 * small

    def _words(
        self, canvas: Canvas, y: float, name: str, score: float, *, size: int, colour: Colour
    ) -> None:
        percent = f"{100 * score:.0f} %"
        right = 2 * self._edge + self._across - text_width(percent, self._small)
        room = right - 2 * self._edge - self._small / 2
        canvas.text((2 * self._edge, y), shortened(name, size, room), size=size, colour=colour)
        canvas.text((right, y), percent, size=self._small, colour=colour)

    def _bar(
        self, canvas: Canvas, top: float, share: float, *, thickness: float, colour: Colour
    ) -> None:
        left, bottom, radius = 2 * self._edge, top + thickness, thickness / 2
        whole, part = (left + self._across, bottom), (left + share * self._across, bottom)
        canvas.box((left, top), whole, radius=radius, colour=WHITE, opacity=0.15)
        canvas.box((left, top), part, radius=radius, colour=colour)

    def _chip(self, canvas: Canvas, row: int, words: str, colour: Colour, *, mark: Mark) -> None:
        """Draw a text at the lower left, with a mark before it; rows count from the bottom."""
        edge, small = self._edge, self._small
        bottom = canvas.height - edge - row * 2.4 * small
        left = 2 * edge + (1.2 * small if mark else 0)
        words = shortened(words, small, canvas.width - left - 2 * edge)
        right = left + text_width(words, small) + edge
        _backdrop(canvas, edge, bottom - 2 * small, right, bottom, small)
        canvas.text((left, bottom - 0.65 * small), words, size=small, colour=colour)
        corner = np.array([2 * edge, bottom - 1.35 * small])
        for one, other in mark:
            ends = corner + 0.75 * small * np.array([one, other])
            canvas.line(tuple(ends[0]), tuple(ends[1]), width=small / 6, colour=colour)

    def _frame(self, canvas: Canvas, strength: float) -> None:
        thick, height, width = 0.4 * self._small, canvas.height, canvas.width
        for one, other in (
            ((0, 0), (width, thick)),
            ((0, height - thick), (width, height)),
            ((0, thick), (thick, height - thick)),
            ((width - thick, thick), (width, height - thick)),
        ):
            canvas.box(one, other, radius=0, colour=AMBER, opacity=strength)


def draw_skeleton(canvas: Canvas, skeleton: Skeleton, joints: Points) -> None:
    """Draw bones between joints (J, 2), with a dark outline that is visible on any background."""
    if not np.isfinite(joints).all():
        return
    width = 1 + canvas.height / 250
    ends = [(tuple(joints[one]), tuple(joints[other])) for one, other in skeleton.bones]
    for one, other in ends:
        canvas.line(one, other, width=width + 2, colour=DARK)
    for (one, other), bone in zip(ends, skeleton.bones, strict=True):
        names = [skeleton.joints[end] for end in bone]
        canvas.line(one, other, width=width, colour=_side(names))


def _side(names: list[str]) -> Colour:
    if any(name.startswith("left") for name in names):
        return BLUE
    return ORANGE if any(name.startswith("right") for name in names) else WHITE


def _backdrop(
    canvas: Canvas, left: float, top: float, right: float, bottom: float, small: int
) -> None:
    one, other = (left, top), (right, bottom)
    canvas.box(one, other, radius=0.5 * small, colour=DARK, opacity=0.66)
