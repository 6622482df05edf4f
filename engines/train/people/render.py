"""The renderer: people, poses and shots in, pictures out.

The ground is sampled once a pixel; the person is drawn with 2 x 2 samples a pixel and blended over
it. One call renders a whole batch without the GIL, so threads share the work.
"""
# mypy: allow-untyped-defs, allow-untyped-calls
# Compiled functions carry no annotations: numba finds the types, from arrays and their fields.

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.train.people.actors import BONES, Floats, Look
from engines.train.people.skeleton import Shots, compiled, place_bones, place_camera, see


class Cast(NamedTuple):
    """The person in the picture: a body and a head."""

    body: Look
    head: Look


def render(
    cast: Cast, poses: Floats, shots: Shots, grounds: NDArray[np.uint8], *, size: int
) -> NDArray[np.uint8]:
    """Draw N frames of one person: poses (N, 46, 7) and shots (N,) -> (N, size, size, 3) RGB."""
    frames = np.empty((len(poses), size, size, 3), np.uint8)
    _render(*cast.body, *cast.head, np.ascontiguousarray(poses), shots, grounds, frames)
    return frames


@compiled
def _render(body, skin, head, head_skin, poses, shots, grounds, frames):
    size = frames.shape[1]
    samples = np.zeros((2 * size, 2 * size, 4), np.float32)  # RGB and 1/depth; 0 is nothing there
    picture = np.empty((size, size, 3), np.float32)
    body_points = np.empty((len(body.vertices), 4), np.float32)
    head_points = np.empty((len(head.vertices), 4), np.float32)
    for n in range(len(poses)):
        shot = shots[n]
        camera = place_camera(shot)
        bones = place_bones(poses[n], shot)
        _project(body, _skinning(bones, body.inverse_bind), camera, shot, size, body_points)
        _project(head, _hang(bones[body.head_bone], body.head_at), camera, shot, size, head_points)
        _draw_ground(camera, shot, bones[0], grounds[shot.ground], picture)
        _draw(body, body_points, skin, shot, samples)
        _draw(head, head_points, head_skin, shot, samples)
        _blend(samples, picture)
        _expose(picture, shot, frames[n])


@compiled
def _skinning(bones, inverse_bind):
    transforms = np.empty((BONES, 3, 4), np.float32)
    for b in range(BONES):
        _multiply(bones[b], inverse_bind[b], transforms[b])
    return transforms


@compiled
def _hang(bone, head_at):
    transforms = np.empty((1, 3, 4), np.float32)
    _multiply(bone, head_at, transforms[0])
    return transforms


@compiled
def _multiply(left, right, product):
    """(3, 4) times (4, 4), where the last line of both is [0, 0, 0, 1]."""
    for r in range(3):
        for k in range(4):
            total = left[r, 3] if k == 3 else np.float32(0)
            for i in range(3):
                total += left[r, i] * right[i, k]
            product[r, k] = total


@compiled
def _project(mesh, transforms, camera, shot, size, points):
    """Vertices -> points (V, 4): x and y in samples, 1/depth, light."""
    blend = np.empty((3, 4), np.float32)
    for v in range(len(mesh.vertices)):
        for r in range(3):
            for k in range(4):
                total = np.float32(0)
                for i in range(4):
                    total += mesh.weights[v, i] * transforms[mesh.bones[v, i], r, k]
                blend[r, k] = total
        p, q = mesh.vertices[v], mesh.normals[v]
        x = blend[0, 0] * p[0] + blend[0, 1] * p[1] + blend[0, 2] * p[2] + blend[0, 3]
        y = blend[1, 0] * p[0] + blend[1, 1] * p[1] + blend[1, 2] * p[2] + blend[1, 3]
        z = blend[2, 0] * p[0] + blend[2, 1] * p[1] + blend[2, 2] * p[2] + blend[2, 3]
        facing = 0.0
        for r in range(3):
            normal = blend[r, 0] * q[0] + blend[r, 1] * q[1] + blend[r, 2] * q[2]
            facing += normal * shot.light[r]
        across, below, depth = see(camera, x, y, z)
        points[v, 0] = size * (1 + across)
        points[v, 1] = size * (1 + below)
        points[v, 2] = 1 / depth
        points[v, 3] = shot.ambient * (0.55 + 0.6 * min(max(float(facing), 0.0), 1.0))


@compiled
def _texel(texture, u, v):
    side = texture.shape[0]  # a power of two: a mask repeats the texture for negative u and v too
    row = math.floor(v * side) & (side - 1)
    column = math.floor(u * side) & (side - 1)
    return texture[row, column]


@compiled
def _draw_ground(camera, shot, root, ground, picture):
    """Ground, a soft round shadow under the root bone, and sky above the horizon."""
    size = picture.shape[0]
    eye, right, up, forward = camera.eye, camera.right, camera.up, camera.forward
    step = 2 / size
    for row in range(size):
        above = (1 - step * (row + 0.5)) / camera.focal
        for column in range(size):
            across = (step * (column + 0.5) - 1) / camera.focal
            dx = forward[0] + across * right[0] + above * up[0]
            dy = forward[1] + above * up[1]
            dz = forward[2] + across * right[2] + above * up[2]
            if dy > -1e-3:
                shade = shot.ambient * (1 - 0.4 * min(1.0, dy))
                for k in range(3):
                    picture[row, column, k] = shade * shot.sky[k]
                continue
            far = -eye[1] / dy
            x, z = eye[0] + far * dx, eye[2] + far * dz
            clear = 1 / (1 + far * 0.012)  # the rest is haze, in the colour of the sky
            texel = _texel(
                ground, (x + shot.offset[0]) / shot.tile, (z + shot.offset[1]) / shot.tile
            )
            away = ((x - root[0, 3]) ** 2 + (z - root[2, 3]) ** 2) / 1.2
            shade = shot.ambient * (0.55 + 0.45 * min(1.0, away))
            for k in range(3):
                picture[row, column, k] = shade * (texel[k] * clear + shot.sky[k] * (1 - clear))


@compiled
def _draw(mesh, points, skin, shot, samples):
    """Rasterise triangles into samples (2S, 2S, 4); the nearest surface wins."""
    for t in range(len(mesh.faces)):
        _draw_triangle(mesh.faces[t], mesh.uv, points, skin, shot.tint, samples)


@compiled
def _draw_triangle(face, uv, points, skin, tint, samples):
    a, b, c = points[face[0]], points[face[1]], points[face[2]]
    area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
    if abs(area) < 1e-6:
        return
    last = samples.shape[0] - 1
    left = max(0, math.ceil(min(a[0], b[0], c[0]) - 0.5))
    right = min(last, math.floor(max(a[0], b[0], c[0]) - 0.5))
    top = max(0, math.ceil(min(a[1], b[1], c[1]) - 0.5))
    bottom = min(last, math.floor(max(a[1], b[1], c[1]) - 0.5))
    for row in range(top, bottom + 1):
        y = row + np.float32(0.5)
        for column in range(left, right + 1):
            x = column + np.float32(0.5)
            of_a = ((b[0] - x) * (c[1] - y) - (c[0] - x) * (b[1] - y)) / area
            of_b = ((c[0] - x) * (a[1] - y) - (a[0] - x) * (c[1] - y)) / area
            of_c = 1 - of_a - of_b
            if of_a < 0 or of_b < 0 or of_c < 0:
                continue
            nearness = of_a * a[2] + of_b * b[2] + of_c * c[2]
            if nearness <= samples[row, column, 3]:
                continue
            samples[row, column, 3] = nearness
            light = of_a * a[3] + of_b * b[3] + of_c * c[3]
            # texture coordinates are linear in space, not on the screen
            pa, pb, pc = of_a * a[2] / nearness, of_b * b[2] / nearness, of_c * c[2] / nearness
            u = pa * uv[face[0], 0] + pb * uv[face[1], 0] + pc * uv[face[2], 0]
            v = pa * uv[face[0], 1] + pb * uv[face[1], 1] + pc * uv[face[2], 1]
            texel = _texel(skin, u, v)
            for k in range(3):
                samples[row, column, k] = min(texel[k] * light * tint[k], 255.0)


@compiled
def _blend(samples, picture):
    """Average 2 x 2 samples over the picture, and empty them for the next frame."""
    quarter = np.float32(0.25)
    for row in range(picture.shape[0]):
        for column in range(picture.shape[1]):
            ground = picture[row, column, 0], picture[row, column, 1], picture[row, column, 2]
            for y in range(2 * row, 2 * row + 2):
                for x in range(2 * column, 2 * column + 2):
                    if samples[y, x, 3] > 0:
                        for k in range(3):
                            covered = samples[y, x, k] - ground[k]
                            picture[row, column, k] += quarter * covered
                        samples[y, x, 3] = 0


@compiled
def _expose(picture, shot, frame):
    """Simulate the sensor: gain, bias, uniform noise, 8 bits."""
    state = shot.noise_seed
    for row in range(frame.shape[0]):
        for column in range(frame.shape[1]):
            for k in range(3):
                state = (
                    state * 1103515245 + 12345
                ) & 0x7FFFFFFF  # a cheap generator is enough for noise
                noise = shot.noise * (((state >> 8) & 0xFFFF) / 32768 - 1)
                value = picture[row, column, k] * shot.gain[k] + shot.bias + noise
                frame[row, column, k] = int(min(max(value, 0.0), 255.0))
