"""The only reader of `engines/data/actors.zip`: people, their motions and the ground they walk on.

The pack is 6 MB that only training reads. It is in the repository and not in the wheel.
Pictures rendered from the pack, and models trained on them, are CC BY-SA 3.0 like the pack itself.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
Split = Literal["train", "test"]

PACK = Path(__file__).parents[2] / "data" / "actors.zip"
BONES = 46


class PackError(Exception):
    """The data pack is not on this machine. The message says where it is."""


class Mesh(NamedTuple):
    """Triangles of a body or a head. A named tuple, because compiled code reads its fields."""

    vertices: Floats  # (V, 3), in units of which a grown person is about 4 tall
    normals: Floats  # (V, 3)
    uv: Floats  # (V, 2), top-down
    bones: NDArray[np.int32]  # (V, 4), all 0 for a head, which moves with one bone
    weights: Floats  # (V, 4), each line sums to 1
    faces: NDArray[np.int32]  # (T, 3)
    inverse_bind: Floats  # (46, 4, 4); (0, 4, 4) for a head
    head_at: Floats  # (4, 4): transform of the head, ...
    head_bone: int  # ... relative to this bone


class Look(NamedTuple):
    """A mesh and one texture for it."""

    mesh: Mesh
    skin: NDArray[np.uint8]  # (128, 128, 3)


@dataclass(frozen=True, slots=True)
class Person:
    """One character: the choices of looks for the body and for the head."""

    name: str
    bodies: tuple[Look, ...]
    heads: tuple[Look, ...]


@dataclass(frozen=True, slots=True)
class Clip:
    """One recorded motion of the whole skeleton."""

    name: str
    poses: Floats  # (frames, 46, 7): position xyz and unit quaternion xyzw of every bone
    frame_s: float


@dataclass(frozen=True, slots=True)
class Actors:
    """The whole pack. People and clips are split so that a test shows what training never saw."""

    people: Mapping[Split, tuple[Person, ...]]
    clips: Mapping[Split, Mapping[str, tuple[Clip, ...]]]  # split -> motion -> clips
    grounds: NDArray[np.uint8]  # (G, 128, 128, 3)


def load_actors(path: Path = PACK) -> Actors:
    """Read the pack, in 2 s. Test people are of three cultures that no training person is of.

    A motion with too few clips to split (fall, shoot) has the same clips on both sides.
    Raises `PackError` where there is no pack.
    """
    if not path.is_file():
        raise PackError(
            f"there is no data pack {path}: it is part of longtake's repository and not of the"
            " wheel; clone the repository and install from there: pip install -e '.[train]'"
        )
    with zipfile.ZipFile(path) as pack:
        card = json.loads(pack.read("actors.json"))
        meshes = {name: _mesh(pack, name, about) for name, about in card["meshes"].items()}
        skins = {name: _picture(pack, f"skin/{name}.jpg") for name in card["skins"]}
        grounds = np.stack([_picture(pack, f"ground/{name}.jpg") for name in card["grounds"]])
        motion = _motion(pack)
    dressed = [
        about
        for about in card["characters"]
        if "naked" not in card["meshes"][about["mesh"]]["source"]
    ]
    people: dict[Split, tuple[Person, ...]] = {
        "train": tuple(_person(c, meshes, skins) for c in dressed if not c["held_out"]),
        "test": tuple(_person(c, meshes, skins) for c in dressed if c["held_out"]),
    }
    clips: dict[Split, Mapping[str, tuple[Clip, ...]]] = {
        "train": _clips(card, motion, held_out=False),
        "test": _clips(card, motion, held_out=True),
    }
    return Actors(people, clips, grounds)


def matrices(placements: Floats) -> Floats:
    """Positions and unit quaternions (..., 7) -> rigid transforms (..., 4, 4)."""
    x, y, z, w = np.moveaxis(placements[..., 3:], -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    result = np.zeros((*placements.shape[:-1], 4, 4), np.float32)
    result[..., :3, :3] = np.stack([np.stack(row, -1) for row in rows], -2)
    result[..., :3, 3] = placements[..., :3]
    result[..., 3, 3] = 1
    return result


def _motion(pack: zipfile.ZipFile) -> Floats:
    with pack.open("motion.npz") as file:
        arrays = np.load(file)
        quaternions = arrays["quaternion"].astype(np.float32) / 32767
        positions = arrays["position"].astype(np.float32)
    quaternions /= np.maximum(np.linalg.norm(quaternions, axis=-1, keepdims=True), 1e-6)
    return np.concatenate([positions, quaternions], -1)


def _clips(
    card: dict[str, Any], motion: Floats, *, held_out: bool
) -> Mapping[str, tuple[Clip, ...]]:
    split = {}
    for kind, names in card["classes"].items():
        chosen = [name for name in names if card["clips"][name]["held_out"] == held_out]
        split[kind] = tuple(_clip(name, card["clips"][name], motion) for name in chosen or names)
    return split


def _clip(name: str, about: dict[str, Any], motion: Floats) -> Clip:
    first = about["first"]
    return Clip(name, motion[first : first + about["frames"]], about["frame_ms"] / 1000)


def _person(
    about: dict[str, Any], meshes: dict[str, Mesh], skins: dict[str, NDArray[np.uint8]]
) -> Person:
    return Person(
        name=f"{about['culture']}/{about['name']}",
        bodies=tuple(Look(meshes[about["mesh"]], skins[skin]) for skin in about["skins"]),
        heads=tuple(
            Look(meshes[head["mesh"]], skins[skin])
            for head in about["heads"]
            for skin in head["skins"]
        ),
    )


def _mesh(pack: zipfile.ZipFile, name: str, about: dict[str, Any]) -> Mesh:
    with pack.open(f"mesh/{name}.npz") as file:
        arrays = dict(np.load(file))
    bind = matrices(arrays["bind"].astype(np.float32))
    bones, weights = _skinning(arrays) if len(bind) else _rigid(len(arrays["vertex"]))
    head = np.array(about["attach"].get("head", [0, 0, 0, 0, 0, 0, 1, 0]), np.float32)
    return Mesh(
        vertices=arrays["vertex"].astype(np.float32),
        normals=arrays["normal"].astype(np.float32),
        uv=arrays["uv"].astype(np.float32),
        bones=bones,
        weights=weights,
        faces=arrays["face"].astype(np.int32),
        inverse_bind=np.linalg.inv(bind).astype(np.float32),
        head_at=matrices(head[:7]),
        head_bone=int(head[7]),
    )


def _skinning(arrays: dict[str, NDArray[Any]]) -> tuple[NDArray[np.int32], Floats]:
    bones = arrays["bone"].astype(np.int32)
    weights = arrays["weight"].astype(np.float32) / np.float32(255)
    weights[bones == 255] = 0  # 255 stands for no bone
    weights /= np.maximum(weights.sum(1, keepdims=True), np.float32(1e-6))
    return np.where(bones < BONES, bones, 0).astype(np.int32), weights


def _rigid(vertices: int) -> tuple[NDArray[np.int32], Floats]:
    """Let every vertex move with transform number 0."""
    weights = np.zeros((vertices, 4), np.float32)
    weights[:, 0] = 1
    return np.zeros((vertices, 4), np.int32), weights


def _picture(pack: zipfile.ZipFile, name: str) -> NDArray[np.uint8]:
    with pack.open(name) as file, Image.open(file) as picture:
        return np.asarray(picture.convert("RGB")).copy()
