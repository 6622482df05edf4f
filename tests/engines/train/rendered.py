"""The pack of actors, read once, and takes of it. Imported by modules that checked the extra."""

from functools import cache

import numpy as np

from engines.train.people.actors import Actors, Split, load_actors
from engines.train.people.streams import Take, random_take


@cache
def actors() -> Actors:
    return load_actors()


def take(seed: int, *, people: Split = "train", clips: Split = "train", length: int = 150) -> Take:
    rng = np.random.default_rng(seed)
    return random_take(actors(), rng, people=people, clips=clips, length=length)
