"""Writes the sample clips: four people that training never used, H.264 with a label per frame."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from engines.train.people.actors import PACK, Actors, load_actors
from engines.train.people.streams import ACTIONS, RATE_HZ, Take, random_take

SIZE = 192  # pixels; larger than the model's input, as a camera's picture is
SAMPLES = 2  # a side of a pixel: with one, the ground flickers and costs twice the bytes
SECONDS = 30
GOP_S = 2  # seconds from one key frame to the next
VIEW = 6.6  # height of the view: wide enough for a person who lies on the ground
MARGIN = 0.95  # half pictures: the largest distance of a joint from the middle
ENCODER_OPTIONS = {
    "crf": "26",  # with a finer one the four clips take more than 2 MB
    "preset": "slow",
    "x264-params": f"keyint={GOP_S * RATE_HZ:.0f}:min-keyint={GOP_S * RATE_HZ:.0f}"
    ":scenecut=0:bframes=0:open-gop=0:force-cfr=1",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """The scene of a clip: a ground texture of the pack, a sky (RGB) and a seed."""

    name: str
    ground: int
    sky: tuple[int, int, int]
    seed: int


SCENES = (
    Scene("gate", 24, (170, 190, 215), 1),  # cobbles
    Scene("yard", 20, (185, 200, 220), 2),  # grass
    Scene("market", 26, (215, 205, 185), 3),  # flags
    Scene("harbour", 12, (160, 180, 195), 4),  # weathered planks
)


def write_clips(folder: Path) -> Iterator[Path]:
    """Write <scene>.mp4 and <scene>.csv for each scene, and ATTRIBUTION.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    actors = load_actors()
    takes: list[Take] = []
    for scene in SCENES:
        takes.append(_cast(actors, scene, takes))
        path = folder / f"{scene.name}.mp4"
        _encode(path, _expose(takes[-1], actors))
        _label(path.with_suffix(".csv"), takes[-1])
        yield path
    about = (PACK.parent / "ATTRIBUTION.txt").read_text()
    (folder / "ATTRIBUTION.txt").write_text(about)


def _cast(actors: Actors, scene: Scene, others: list[Take]) -> Take:
    """Draw takes until one has all ten actions, all joints in the picture, and a new person.

    The model's answers have no influence on the choice.
    """
    for attempt in count():
        rng = np.random.default_rng([scene.seed, attempt])
        take = random_take(actors, rng, people="test", clips="train", length=int(SECONDS * RATE_HZ))
        new_person = all(take.cast.body.skin is not other.cast.body.skin for other in others)
        if new_person and len(np.unique(take.labels)) == len(ACTIONS):
            _light(take, scene)
            if np.abs(take.joints()[..., :2]).max() < MARGIN:
                return take
    raise AssertionError("unreachable: takes never end")


def _light(take: Take, scene: Scene) -> None:
    """Set ground, sky and light of the scene, in a wide shot without noise, in place."""
    shots = take.shots
    shots["distance"] = VIEW / (2 * np.tan(shots["fov"] / 2))
    shots["target"][:, 1] = 2.0
    shots["ground"], shots["sky"] = scene.ground, scene.sky
    shots["ambient"], shots["gain"], shots["bias"], shots["noise"] = 0.95, 1.0, 0.0, 0.0


def _expose(take: Take, actors: Actors) -> NDArray[np.uint8]:
    """Render with SAMPLES x SAMPLES samples a pixel, and average: (T, 192, 192, 3)."""
    fine = take.pixels(actors, size=SIZE * SAMPLES)
    squares = fine.reshape(len(fine), SIZE, SAMPLES, SIZE, SAMPLES, 3)
    frames: NDArray[np.uint8] = np.rint(squares.mean((2, 4))).astype(np.uint8)
    return frames


def _encode(path: Path, frames: NDArray[np.uint8]) -> None:
    """Write frames (T, H, W, 3) RGB as an MP4 with its index first, for players that stream."""
    rate = Fraction(RATE_HZ)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=rate, options=ENCODER_OPTIONS)
        video.width, video.height = frames.shape[2], frames.shape[1]
        video.pix_fmt = "yuv420p"
        video.codec_context.thread_count = 1  # the bytes depend on the number of threads
        for pixels in frames:
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))


def _label(path: Path, take: Take) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["frame", "label"])
        table.writerows((frame, ACTIONS[label]) for frame, label in enumerate(take.labels))
