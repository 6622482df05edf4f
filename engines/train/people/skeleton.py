"""The geometry of the renderer: bones of a pose in the world and in the picture.

The unit of a picture is half its side: the picture is x and y in [-1, 1].
"""
# mypy: allow-untyped-defs, allow-untyped-calls
# Compiled functions carry no annotations: numba finds the types, from arrays and their fields.

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from engines.train.people.actors import BONES, Floats

# The joints that the encoder finds, in this order; JOINTS has their numbers among the 46 bones.
JOINT_NAMES = (
    "root", "chest", "neck", "head",
    "left_shoulder", "left_elbow", "left_hand", "right_shoulder", "right_elbow", "right_hand",
    "left_hip", "left_knee", "left_foot", "right_hip", "right_knee", "right_foot",
)  # fmt: skip
JOINT_PAIRS = (  # lines of a drawing
    (0, 1), (1, 2), (2, 3),
    (2, 4), (4, 5), (5, 6), (2, 7), (7, 8), (8, 9),
    (0, 10), (10, 11), (11, 12), (0, 13), (13, 14), (14, 15),
)  # fmt: skip
JOINTS = np.array([0, 3, 15, 16, 5, 6, 7, 20, 21, 22, 30, 31, 32, 33, 34, 35])
MIRRORED = np.array([0, 1, 2, 3, 7, 8, 9, 4, 5, 6, 13, 14, 15, 10, 11, 12])  # left <-> right

SHOT = np.dtype(
    [
        ("heading", "f4"),  # rad, which way the person faces
        ("scale", "f4"),  # of the person
        ("azimuth", "f4"),  # rad, where the camera stands
        ("elevation", "f4"),  # rad
        ("fov", "f4"),  # rad, across the picture
        ("distance", "f4"),  # from the camera to its target
        ("target", "f4", 3),  # what the camera looks at; the person is at the origin
        ("ground", "i4"),  # which ground texture
        ("tile", "f4"),  # size of one repeat of it
        ("offset", "f4", 2),  # where on the ground the person is: x, z
        ("sky", "f4", 3),  # colour, 0-255
        ("ambient", "f4"),
        ("light", "f4", 3),  # unit vector towards the sun
        ("tint", "f4", 3),  # of the person
        ("gain", "f4", 3),  # of the sensor, per colour
        ("bias", "f4"),  # of the sensor, 0-255
        ("noise", "f4"),  # of the sensor, largest deviation, 0-255
        ("noise_seed", "i8"),
    ]
)
Shots = NDArray[np.void]  # (N,) of SHOT


compiled = njit(fastmath=True, nogil=True, cache=True)


class Camera(NamedTuple):
    """The camera of a shot: a point and three unit vectors, (3,) each."""

    eye: Floats
    right: Floats
    up: Floats
    forward: Floats
    focal: float  # in half pictures


def project_joints(poses: Floats, shots: Shots) -> Floats:
    """Project N poses to joints (N, 16, 3): x to the right, y down, depth behind the root.

    The unit is half the picture: x and y in [-1, 1] are inside it.
    """
    joints = np.empty((len(poses), len(JOINTS), 3), np.float32)
    _project_joints(np.ascontiguousarray(poses), shots, JOINTS, joints)
    return joints


@compiled
def _project_joints(poses, shots, joints, positions):
    for n in range(len(poses)):
        camera = place_camera(shots[n])
        bones = place_bones(poses[n], shots[n])
        root = 0.0
        for j in range(len(joints)):
            place = bones[joints[j]]
            x, y, depth = see(camera, place[0, 3], place[1, 3], place[2, 3])
            if j == 0:
                root = depth
            positions[n, j, 0] = x
            positions[n, j, 1] = y
            positions[n, j, 2] = (depth - root) * camera.focal / root


@compiled
def place_camera(shot):
    """Set up the camera of one shot."""
    level = math.cos(shot.elevation)
    forward = np.array(
        [
            -math.sin(shot.azimuth) * level,
            -math.sin(shot.elevation),
            -math.cos(shot.azimuth) * level,
        ],
        np.float32,
    )
    eye = shot.target - forward * shot.distance
    eye[1] = max(eye[1], 0.3)  # never under the ground
    right = np.array([-forward[2], 0.0, forward[0]], np.float32) / np.float32(level)
    up = np.array(
        [
            -right[2] * forward[1],
            right[2] * forward[0] - right[0] * forward[2],
            right[0] * forward[1],
        ],
        np.float32,
    )
    return Camera(eye, right, up, forward, 1 / math.tan(shot.fov / 2))


@compiled
def see(camera, x, y, z):
    """Turn a point of the world into (x right, y down) in half pictures and its depth."""
    x -= camera.eye[0]
    y -= camera.eye[1]
    z -= camera.eye[2]
    right, up, forward = camera.right, camera.up, camera.forward
    depth = max(x * forward[0] + y * forward[1] + z * forward[2], 0.05)
    across = x * right[0] + y * right[1] + z * right[2]
    above = x * up[0] + y * up[1] + z * up[2]
    return camera.focal * across / depth, -camera.focal * above / depth, depth


@compiled
def place_bones(pose, shot):
    """One pose (46, 7) -> its bones in the world (46, 3, 4), with heading and scale applied."""
    bones = np.empty((BONES, 3, 4), np.float32)
    local = np.empty((3, 4), np.float32)
    cos, sin = shot.scale * math.cos(shot.heading), shot.scale * math.sin(shot.heading)
    for b in range(BONES):
        _place_bone(pose[b], local)
        for k in range(4):
            bones[b, 0, k] = cos * local[0, k] + sin * local[2, k]
            bones[b, 1, k] = shot.scale * local[1, k]
            bones[b, 2, k] = cos * local[2, k] - sin * local[0, k]
    return bones


@compiled
def _place_bone(placement, local):
    x, y, z, w = placement[3], placement[4], placement[5], placement[6]
    norm = 1 / math.sqrt(
        x * x + y * y + z * z + w * w + 1e-12
    )  # mixed poses are not of unit length
    x, y, z, w = x * norm, y * norm, z * norm, w * norm
    local[0, 0], local[1, 1] = 1 - 2 * (y * y + z * z), 1 - 2 * (x * x + z * z)
    local[2, 2] = 1 - 2 * (x * x + y * y)
    local[0, 1], local[1, 0] = 2 * (x * y - z * w), 2 * (x * y + z * w)
    local[0, 2], local[2, 0] = 2 * (x * z + y * w), 2 * (x * z - y * w)
    local[1, 2], local[2, 1] = 2 * (y * z - x * w), 2 * (y * z + x * w)
    for k in range(3):
        local[k, 3] = placement[k]
