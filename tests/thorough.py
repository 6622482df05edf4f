"""How many examples the property tests draw."""

import os

THOROUGH = "TESTS_THOROUGH"  # `make test-all` and `make mutants` set it
SHARE, FEWEST = 4, 10


def examples(whole: int) -> int:
    """Return all of them in a thorough run, else a fourth: of each run other ones."""
    return whole if os.environ.get(THOROUGH) else max(FEWEST, whole // SHARE)
