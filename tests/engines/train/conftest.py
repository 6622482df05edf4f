"""Torch on one thread: two wait for each other wherever others use the machine too."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")  # before the fixtures of a module train
def _one_thread() -> Iterator[None]:
    torch = sys.modules.get("torch")  # only tests that were not skipped have imported it
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
