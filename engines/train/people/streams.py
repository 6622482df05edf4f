"""The data of training and tests: unrelated frames, and labelled takes of one person who acts.

Several of the ten actions have the same single frames: `walk_back` is a walk played backwards,
`get_up` a fall played backwards, and a person who turns has the pose of one who stands. Only a
memory can separate them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.train.people.actors import BONES, Actors, Clip, Floats, Split
from engines.train.people.render import Cast, render
from engines.train.people.scenes import invented_cast, pick, random_cast, random_shots, tint
from engines.train.people.skeleton import Shots, project_joints

ACTIONS = (
    "stand", "walk", "walk_back", "run", "turn_left", "turn_right",
    "attack", "work", "fall", "get_up",
)  # fmt: skip
MIRRORED_ACTIONS = np.array([0, 1, 2, 3, 5, 4, 6, 7, 8, 9])  # seen in a mirror
RATE_HZ = 15.0
FADE = 5  # frames from the last pose of an action into the next action

_MOTIONS = {
    "stand": ("stand",), "walk": ("walk",), "walk_back": ("walk",), "run": ("run",),
    "turn_left": ("stand",), "turn_right": ("stand",), "attack": ("strike", "thrust", "shoot"),
    "work": ("work",), "fall": ("fall",),
}  # fmt: skip
_SPEEDS = {"walk": 3.6, "walk_back": -3.1, "run": 9.0}  # units/s over the ground
# Motions of the encoder's frames, drawn with equal chances. Difficult poses, as on the ground, are
# more frequent than in takes.
_ENCODER_ACTIONS = (
    "stand", "walk", "walk", "run", "attack", "attack", "work", "work", "fall", "fall",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Take:
    """T frames of one person before one camera at 15 frames/s, not rendered yet."""

    cast: Cast
    poses: Floats  # (T, 46, 7)
    shots: Shots  # (T,)
    labels: NDArray[np.int64]  # (T,), index into ACTIONS
    onsets: NDArray[np.int64]  # (T,), frames since the action began: 0 at its first frame

    def joints(self) -> Floats:
        """Return the true joints (T, 16, 3), in the units of `project_joints`."""
        return project_joints(self.poses, self.shots)

    def pixels(self, actors: Actors, *, size: int) -> NDArray[np.uint8]:
        """Render the take: (T, size, size, 3) RGB."""
        return render(self.cast, self.poses, self.shots, actors.grounds, size=size)


@dataclass(frozen=True, slots=True)
class _Segment:
    action: str
    clip: Clip
    poses: Floats  # (T, 46, 7)
    turn: float  # rad/frame
    speed: float  # units/frame


def random_take(
    actors: Actors, rng: np.random.Generator, *, people: Split, clips: Split, length: int
) -> Take:
    """Draw a take of `length` frames: one action after the other."""
    segments: list[_Segment] = []
    total = 0
    for segment in _segments(rng, actors.clips[clips]):
        segments.append(segment)
        total += len(segment.poses)
        if total >= length:
            break
    counts = [len(s.poses) for s in segments]
    turns = np.repeat([s.turn for s in segments], counts)[:length]
    speeds = np.repeat([s.speed for s in segments], counts)[:length]
    return Take(
        cast=random_cast(actors, rng, people),
        poses=np.concatenate([s.poses for s in segments])[:length],
        shots=_film(random_shots(actors, rng, 1), rng, turns, speeds),
        labels=np.repeat([ACTIONS.index(s.action) for s in segments], counts)[:length],
        onsets=np.concatenate([np.arange(count) for count in counts])[:length],
    )


def unrelated_frames(
    actors: Actors, rng: np.random.Generator, *, people: Split, count: int, size: int
) -> tuple[NDArray[np.uint8], Floats]:
    """Draw frames of one person with nothing else in common: (N, size, size, 3), (N, 16, 3).

    The motions are those of training, also for test people. For training, two of three calls draw
    an invented person: without them the encoder's errors on new people were a third larger.
    """
    poses = _random_poses(rng, actors.clips["train"], count)
    fades = max(1, count // 6)  # takes fade from action to action, so these poses occur too
    weights = rng.random((fades, 1, 1), np.float32)
    poses[:fades] = _mix(poses[:fades], _random_poses(rng, actors.clips["train"], fades), weights)
    shots = random_shots(actors, rng, count)
    shots["target"][:, ::2] += rng.normal(0, 0.12, (count, 2))  # the shake of a take
    if people == "train":
        tint(shots, rng)
    cast = invented_cast if people == "train" and rng.random() < 2 / 3 else random_cast
    frames = render(cast(actors, rng, people), poses, shots, actors.grounds, size=size)
    return frames, project_joints(poses, shots)


def _segments(rng: np.random.Generator, clips: Mapping[str, Sequence[Clip]]) -> Iterator[_Segment]:
    """Yield actions without end, each faded in from the last one. A fall is followed by get_up."""
    last: _Segment | None = None
    while True:
        if last is not None and last.action == "fall":
            action, clip = "get_up", last.clip
        else:
            others = [a for a in ACTIONS if a != "get_up" and (last is None or a != last.action)]
            action = pick(rng, others)
            clip = pick(rng, [clip for motion in _MOTIONS[action] for clip in clips[motion]])
        segment = _act(rng, action, clip)
        if last is not None:
            _fade_in(segment.poses, last.poses[-1])
        yield segment
        last = segment


def _act(rng: np.random.Generator, action: str, clip: Clip) -> _Segment:
    """Play a clip as an action of 1.5-4 s, up to a quarter slower or faster than recorded."""
    tempo = rng.uniform(0.8, 1.25)
    step = tempo / (clip.frame_s * RATE_HZ)  # clip frames per frame
    length = int(rng.uniform(1.5, 4) * RATE_HZ)
    whole = len(clip.poses) - 1
    if action == "fall":
        length = int(whole / step + rng.uniform(0.3, 1.5) * RATE_HZ)  # and lie still for a while
        poses = _sample(clip.poses, np.minimum(np.arange(length) * step, whole))
    elif action == "get_up":
        step *= rng.uniform(0.6, 0.9)
        length = int(whole / step + rng.uniform(0.1, 0.4) * RATE_HZ)
        poses = _sample(clip.poses, np.maximum(whole - np.arange(length) * step, 0))
    else:
        step *= -0.85 if action == "walk_back" else 1
        times = rng.uniform(0, whole) + np.arange(length) * step
        poses = _sample(clip.poses, times % whole)
    speed = _SPEEDS.get(action, 0) * tempo / RATE_HZ
    return _Segment(action, clip, poses, _turn_rate(rng, action) / RATE_HZ, speed)


def _turn_rate(rng: np.random.Generator, action: str) -> float:
    """Draw rad/s: fast for a turn, and a little for other actions, as people drift."""
    if action not in ("turn_left", "turn_right"):
        return rng.normal(0, 0.1)
    rate = rng.uniform(0.8, 2.0)
    return rate if action == "turn_left" else -rate


def _film(
    shot: Shots, rng: np.random.Generator, turns: NDArray[np.float64], speeds: NDArray[np.float64]
) -> Shots:
    """One shot (1,) -> (T,): the camera moves with the person, drifts and shakes a little."""
    length = len(turns)
    shots = np.repeat(shot, length)
    heading = shots["heading"] + np.cumsum(turns)
    shots["heading"] = heading
    shots["offset"][:, 0] += np.cumsum(np.sin(heading) * speeds)
    shots["offset"][:, 1] += np.cumsum(np.cos(heading) * speeds)
    shots["azimuth"] += np.linspace(0, rng.normal(0, 0.3), length)
    shots["target"][:, ::2] += np.cumsum(rng.normal(0, 0.01, (length, 2)), 0)
    shots["noise_seed"] += np.arange(length) * 7919
    return shots


def _random_poses(
    rng: np.random.Generator, clips: Mapping[str, Sequence[Clip]], count: int
) -> Floats:
    before, after = np.empty((2, count, BONES, 7), np.float32)
    for i in range(count):
        motions = _MOTIONS[pick(rng, _ENCODER_ACTIONS)]
        clip = pick(rng, [clip for motion in motions for clip in clips[motion]])
        frame = rng.integers(len(clip.poses) - 1)
        before[i], after[i] = clip.poses[frame], clip.poses[frame + 1]
    return _mix(before, after, rng.random((count, 1, 1), np.float32))


def _sample(poses: Floats, times: NDArray[np.floating]) -> Floats:
    """Poses (F, 46, 7) at fractional frames (T,) in [0, F - 1] -> (T, 46, 7)."""
    before = np.floor(times).astype(int)
    after = np.minimum(before + 1, len(poses) - 1)
    weights = (times - before).astype(np.float32)[:, None, None]
    return _mix(poses[before], poses[after], weights)


def _fade_in(poses: Floats, start: Floats) -> None:
    """Blend the first poses of an action with the pose (46, 7) before it, in place."""
    count = min(FADE, len(poses))
    weights = (np.arange(1, count + 1) / (count + 1)).astype(np.float32)[:, None, None]
    poses[:count] = _mix(np.repeat(start[None], count, 0), poses[:count], weights)


def _mix(first: Floats, second: Floats, weight: Floats) -> Floats:
    """Interpolate poses (N, 46, 7) the shorter way. The renderer normalises the quaternions."""
    same_way = (first[..., 3:] * second[..., 3:]).sum(-1, keepdims=True) >= 0
    turned = np.where(same_way, second[..., 3:], -second[..., 3:])
    towards: Floats = np.concatenate([second[..., :3], turned], -1)
    return first * (1 - weight) + towards * weight
