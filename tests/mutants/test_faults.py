"""Every fault of `make mutants` still fits the code: its text occurs once, its tests exist."""

import pytest

from tests.mutants.__main__ import ROOT
from tests.mutants.faults import MUTANTS
from tests.mutants.mutant import Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_fits_the_code(mutant: Mutant) -> None:
    assert (ROOT / mutant.path).read_text().count(mutant.old) == 1
    assert mutant.old != mutant.new
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert name in (ROOT / path).read_text()
