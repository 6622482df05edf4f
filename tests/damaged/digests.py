"""`python -m tests.damaged.digests SEED COUNT`: prints a digest of each damaged picture."""

import hashlib
import sys
from random import Random

from pipeline.errors import UndecodableFrameError
from pipeline.media.pictures import Fit, decode_picture
from tests.damaged.mutations import mutate
from tests.damaged.seeds import whole

FIT = Fit(60, 80, "stretch")


def digest(content: bytes) -> str:
    try:
        return hashlib.sha256(decode_picture(content, FIT).tobytes()).hexdigest()
    except UndecodableFrameError as exc:
        return f"refused: {exc}"


if __name__ == "__main__":
    _seed, _count = (int(word) for word in sys.argv[1:])
    _rng, _pictures = Random(_seed), list(whole().items())  # noqa: S311 - reproducible on purpose
    for _number in range(_count):
        _kind, _picture = _pictures[_number % len(_pictures)]
        sys.stdout.write(f"{_kind} {digest(mutate(_picture, _rng))}\n")
