"""SIGUSR1 makes a chaos worker print what it waits for, and does not end it."""

import signal
import weakref

import pytest

from pipeline.delivery.committer import Committer
from tests.chaos.worker import explain


class Brief:
    """Freed at once: a weak proxy of it is dead."""


def test_a_worker_explains_what_it_waits_for_beside_a_dead_weak_proxy(
    capfd: pytest.CaptureFixture[str],
) -> None:
    committer = Committer.__new__(Committer)
    vars(committer)["_refused"] = "three times"
    gone = weakref.proxy(Brief())
    explain(signal.SIGUSR1, None)
    with pytest.raises(ReferenceError):
        _ = gone.__class__
    assert "Committer {'_refused': 'three times'}" in capfd.readouterr().err
