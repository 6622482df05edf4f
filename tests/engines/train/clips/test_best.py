"""Which weights are kept, and when training is given up."""

import pytest

torch = pytest.importorskip("torch", reason="the [train] extra is not installed")

from engines.train.clips.best import Best  # noqa: E402
from engines.train.clips.footage import FailureError  # noqa: E402


def judged(*losses: float, earliest: int) -> tuple[Best, float]:
    """The best of epochs whose only weight is their number, and the weight that was kept."""
    best, network = Best(earliest), torch.nn.Linear(1, 1, bias=False)
    for epoch, loss in enumerate(losses):
        torch.nn.init.constant_(network.weight, epoch)
        best.judge(loss, network)
    return best, best.weights["weight"].item()


@pytest.mark.parametrize(
    ("losses", "earliest", "epoch", "age"),
    [
        ((1.0,), 0, 0, 0),
        ((1.0,), 1, 0, 0),
        ((1.0, 2.0, 1.5), 0, 0, 2),  # what it began with stays the best
        ((1.0, 2.0, 1.5), 1, 2, 0),  # unless an untrained network is of no use
        ((3.0, 1.0, 2.0, 1.0), 0, 1, 2),  # the first of equals
    ],
)
def test_the_weights_of_the_smallest_loss_are_kept(
    losses: tuple[float, ...], earliest: int, epoch: int, age: int
) -> None:
    best, kept = judged(*losses, earliest=earliest)
    assert (best.epoch, best.age, kept) == (epoch, age, epoch)


def test_a_state_that_is_restored_goes_on_as_it_was() -> None:
    best, _ = judged(3.0, 1.0, 2.0, earliest=1)
    restored = Best(1)
    restored.load_state_dict(best.state_dict())
    assert (restored.epoch, restored.age, restored.losses) == (1, 1, [3.0, 1.0, 2.0])


def test_a_loss_that_is_no_number_ends_it_with_the_way_out() -> None:
    with pytest.raises(FailureError, match=r"nan after 1 epochs: .* Those of another --seed"):
        judged(1.0, float("nan"), earliest=0)


@pytest.mark.parametrize(
    ("losses", "summary"),
    [
        ((3.0, 1.0, 2.0), "kept what it was after epoch 1 of 2, loss 1.000"),
        ((1.0, 2.0), "none of 1 epochs did better in validation than the weights it began with"),
    ],
)
def test_the_summary_names_the_weights_that_were_kept(
    losses: tuple[float, ...], summary: str
) -> None:
    assert judged(*losses, earliest=0)[0].summary().startswith(summary)
