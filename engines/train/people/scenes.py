"""Random people and random shots: person, camera, light and sensor."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.train.people.actors import Actors, Floats, Split
from engines.train.people.render import Cast
from engines.train.people.skeleton import SHOT, Shots

T = TypeVar("T")
Skin = NDArray[np.uint8]  # (128, 128, 3)

PATCHES = 6  # a side of a texture: about one for each piece of clothing
DYE_CLOTHES, DYE_HEAD = 0.4, 0.2  # deviation of the logarithm of the brightness
_BLEND = np.stack(  # (128, 6): weights of the patches in each line of a texture
    [np.interp(np.linspace(0, PATCHES - 1, 128), range(PATCHES), row) for row in np.eye(PATCHES)], 1
).astype(np.float32)


def random_cast(actors: Actors, rng: np.random.Generator, people: Split) -> Cast:
    """Draw one person of a split, and one of the person's bodies and heads."""
    person = pick(rng, actors.people[people])
    return Cast(pick(rng, person.bodies), pick(rng, person.heads))


def invented_cast(actors: Actors, rng: np.random.Generator, people: Split) -> Cast:
    """Draw an invented person, for training: the pack has too few real ones.

    The clothes are mixed from those of two people with the same body mesh, and coloured. The head
    is that of any person, coloured.
    """
    body, head = random_cast(actors, rng, people).body, random_cast(actors, rng, people).head
    wardrobe = [
        look.skin
        for person in actors.people[people]
        for look in person.bodies
        if look.mesh is body.mesh
    ]
    clothes = _dye(_sew(body.skin, pick(rng, wardrobe), rng), rng, DYE_CLOTHES)
    return Cast(body._replace(skin=clothes), head._replace(skin=_dye(head.skin, rng, DYE_HEAD)))


def random_shots(actors: Actors, rng: np.random.Generator, count: int) -> Shots:
    """Draw (count,) unrelated shots of a person at the origin, with any heading.

    The camera's target is near the person, with an offset that does not depend on the motion:
    otherwise a single frame would show the direction of a walk.
    """
    shots = np.zeros(count, SHOT)

    def between(low: float, high: float, *shape: int) -> np.ndarray:
        return rng.uniform(low, high, (count, *shape))

    shots["heading"] = between(0, 2 * np.pi)
    shots["scale"] = between(0.93, 1.07)
    shots["azimuth"] = between(0, 2 * np.pi)
    shots["elevation"] = between(0.05, 0.7)
    shots["fov"] = between(0.45, 0.8)
    view = between(5.2, 7.0)  # height of the view; a person is about 4 tall, and as long when lying
    shots["distance"] = view / (2 * np.tan(shots["fov"] / 2))
    shots["target"] = between(-1, 1, 3) * (0.25, 0.35, 0.25) + (0, 2.05, 0)
    shots["ground"] = rng.integers(0, len(actors.grounds), count)
    shots["tile"] = between(4, 12)
    shots["offset"] = between(0, 100, 2)
    shots["sky"] = between(90, 220, 1) + between(-35, 35, 3)
    shots["ambient"] = between(0.55, 1.15)
    light = rng.normal(0, 1, (count, 3))
    light[:, 1] = np.abs(light[:, 1]) + 0.6  # from above
    shots["light"] = light / np.linalg.norm(light, axis=1, keepdims=True)
    shots["tint"] = 1
    shots["gain"] = between(0.85, 1.15, 1) * between(0.93, 1.07, 3)
    shots["bias"] = between(-12, 12)
    shots["noise"] = np.where(between(0, 1) < 0.7, between(0, 8), 0)
    shots["noise_seed"] = rng.integers(0, 1 << 31, count)
    return shots


def tint(shots: Shots, rng: np.random.Generator) -> None:
    """Change the colour of the person in 70 % of the shots, in place, as coloured light does."""
    colours = np.exp(rng.normal(0, 0.2, (len(shots), 3)))
    shots["tint"] = np.where(rng.random((len(shots), 1)) < 0.7, colours, 1)


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Draw one of the choices."""
    return choices[int(rng.integers(len(choices)))]


def _sew(skin: Skin, other: Skin, rng: np.random.Generator) -> Skin:
    """Mix two textures of the same mesh: some patches of one, the others of the other."""
    return np.where(_patches(rng, 1) > 0, skin, other)


def _dye(skin: Skin, rng: np.random.Generator, strength: float) -> Skin:
    """Make patches of a texture darker, lighter and of other shades."""
    exponents = _patches(rng, 1) + 0.6 * _patches(rng, 3)
    dyed: Skin = np.minimum(skin * np.exp(strength * exponents), 255).astype(np.uint8)
    return dyed


def _patches(rng: np.random.Generator, channels: int) -> Floats:
    """Draw a smooth (128, 128, channels) interpolation of normal values on a coarse grid."""
    coarse = rng.standard_normal((PATCHES, PATCHES, channels), np.float32)
    patches: Floats = np.einsum("ri,ijk,cj->rck", _BLEND, coarse, _BLEND, optimize=True)
    return patches
