"""How a signal ends a command that runs until it is stopped."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.cli.signals import until_signalled


@pytest.fixture
def _signals() -> Iterator[None]:
    """Ignore signals that nobody handles, and give the handlers back afterwards."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_and_a_second_one_kills_as_usual(number: signal.Signals) -> None:
    stopped: list[Any] = []
    until_signalled(lambda: stopped.append(number))
    signal.raise_signal(number)
    assert stopped == [number]
    assert signal.getsignal(number) is signal.SIG_DFL
