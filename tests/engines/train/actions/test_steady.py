"""A steady head holds its label until another is more probable by the margin, at any tempo."""

from collections.abc import Mapping

import pytest

pytest.importorskip("torch", reason="training needs the extra longtake[train]")

import torch

from engines.train.actions.steady import Steady, steadied
from engines.train.heads import Memory, make_head

STREAMS, FRAMES, CLASSES = 5, 40, 4


def steady(margin: float) -> Steady:
    torch.manual_seed(0)
    head = make_head("gru", CLASSES, features=6).eval()
    made: Steady = Steady(head, CLASSES, margin=margin).eval()
    return made


def answers(margin: float, logits: list[list[float]]) -> list[int]:
    given = torch.tensor(logits)[:, None]  # (T, 1, K)
    answered, _ = steady(margin).hold(given, torch.zeros(1, len(logits[0])))
    labels: list[int] = answered.argmax(-1)[:, 0].tolist()
    return labels


def test_a_label_is_held_until_another_is_more_probable_by_the_margin() -> None:
    probabilities = [[0.9, 0.1], [0.41, 0.59], [0.39, 0.61], [0.59, 0.41], [0.61, 0.39]]
    assert answers(0.2, torch.tensor(probabilities).log().tolist()) == [0, 0, 1, 1, 0]


def test_a_guess_among_labels_about_as_probable_changes_nothing() -> None:
    probabilities = torch.tensor([[0.97, 0.01, 0.02], [0.30, 0.33, 0.37], [0.01, 0.02, 0.97]])
    assert answers(0.1, probabilities.log().tolist()) == [0, 0, 2]


def test_without_a_margin_the_best_label_is_answered() -> None:
    assert answers(0.0, [[2.0, 0.0], [0.0, 0.1], [0.1, 0.0]]) == [0, 1, 0]


def test_without_a_margin_the_scores_are_those_of_the_head() -> None:
    torch.manual_seed(4)
    logits = 3 * torch.randn(FRAMES, STREAMS, CLASSES)
    found, _ = steady(0.0).hold(logits, torch.zeros(STREAMS, CLASSES))
    torch.testing.assert_close(found.softmax(-1), logits.softmax(-1), atol=0.0026, rtol=0)


def test_a_label_that_is_held_seems_no_surer_than_the_one_it_keeps_away() -> None:
    logits = torch.tensor([[[0.9, 0.1]], [[0.45, 0.55]]]).log()  # (2, 1, 2)
    found, _ = steady(0.2).hold(logits, torch.zeros(1, 2))
    assert found[1].argmax() == 0
    assert found[1].softmax(-1).max() == pytest.approx(0.5, abs=0.003)


def test_frame_by_frame_is_the_whole_sequence() -> None:
    torch.manual_seed(1)
    features = 3 * torch.randn(FRAMES, STREAMS, 6)
    head = steady(0.2)
    with torch.inference_mode():
        whole, left = head(features, head.start(STREAMS))
        memory = head.start(STREAMS)
        for frame, wanted in zip(features, whole, strict=True):
            logits, memory = head.step(frame, memory)
            torch.testing.assert_close(logits, wanted)
    torch.testing.assert_close(memory, left)


def test_the_chosen_margin_calms_the_answers_and_costs_next_to_no_accuracy() -> None:
    """The truth changes every ten frames; what the head sees of it flickers."""
    torch.manual_seed(2)
    truth = torch.arange(400).div(10, rounding_mode="floor")[:, None] % CLASSES
    truth = truth.expand(-1, STREAMS)
    seen = 3 * torch.nn.functional.one_hot(truth, CLASSES) + 1.2 * torch.randn(400, 5, CLASSES)
    plain = Steady(_Seen(), CLASSES, margin=0.0)
    calm = steadied(_Seen(), seen, truth)
    before, after = (head(seen, head.start(5))[0].argmax(-1) for head in (plain, calm))
    assert changes(after) < 0.8 * changes(before)
    assert accuracy(after, truth) >= accuracy(before, truth) - 0.003


def test_answers_that_are_too_sure_become_honest() -> None:
    torch.manual_seed(3)
    truth = torch.randint(CLASSES, (400, 5))
    seen = torch.nn.functional.one_hot(truth, CLASSES) + torch.randn(400, 5, CLASSES)
    assert steadied(_Seen(), 4 * seen, truth).sharpness < steadied(_Seen(), seen, truth).sharpness


class _Seen(torch.nn.Module):
    """Logits that are the features."""

    features = CLASSES
    memory: Mapping[str, tuple[int, ...]] = {}

    def forward(self, features: torch.Tensor, memory: Memory) -> tuple[torch.Tensor, Memory]:
        return features, memory

    def start(self, streams: int) -> Memory:
        return ()


def changes(labels: torch.Tensor) -> int:
    return int((labels[1:] != labels[:-1]).sum())


def accuracy(labels: torch.Tensor, truth: torch.Tensor) -> float:
    return float((labels == truth).float().mean())
