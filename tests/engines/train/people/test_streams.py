"""Takes are labelled frame by frame, can be drawn again, and keep the splits apart."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="rendering needs the extra longtake[train]")
pytest.importorskip("PIL", reason="the pack of actors needs the extra longtake[train]")

from engines.train.people.scenes import invented_cast
from engines.train.people.streams import ACTIONS, MIRRORED_ACTIONS, Take, unrelated_frames
from tests.engines.train.rendered import actors, take

SEEDS = range(8)


def starts(one: Take) -> np.ndarray:
    changes = np.flatnonzero(np.diff(one.labels)) + 1
    return np.concatenate([[0], changes])


@pytest.mark.parametrize("seed", SEEDS)
def test_an_onset_is_where_the_label_changes(seed: int) -> None:
    one = take(seed)
    np.testing.assert_array_equal(np.flatnonzero(one.onsets == 0), starts(one))


@pytest.mark.parametrize("seed", SEEDS)
def test_onsets_count_frames_since_the_action_began(seed: int) -> None:
    one = take(seed)
    began = starts(one)
    which = np.searchsorted(began, np.arange(len(one.labels)), side="right") - 1
    np.testing.assert_array_equal(one.onsets, np.arange(len(one.labels)) - began[which])


def test_who_falls_gets_up_next_and_nobody_else_gets_up() -> None:
    fall, get_up = ACTIONS.index("fall"), ACTIONS.index("get_up")
    for seed in SEEDS:
        one = take(seed)
        order = one.labels[starts(one)]
        np.testing.assert_array_equal(
            np.flatnonzero(order[:-1] == fall) + 1, np.flatnonzero(order == get_up)
        )


def test_people_turn_the_way_the_label_says() -> None:
    for seed in SEEDS:
        one = take(seed)
        turns = np.diff(np.unwrap(one.shots["heading"]))
        assert (turns[one.labels[1:] == ACTIONS.index("turn_left")] > 0).all()
        assert (turns[one.labels[1:] == ACTIONS.index("turn_right")] < 0).all()


def test_in_a_mirror_only_the_turns_change_places() -> None:
    mirrored = [ACTIONS[i] for i in MIRRORED_ACTIONS]
    assert {a: b for a, b in zip(ACTIONS, mirrored, strict=True) if a != b} == {
        "turn_left": "turn_right",
        "turn_right": "turn_left",
    }


def test_test_people_and_their_cultures_never_appear_in_training() -> None:
    cultures = {
        split: {person.name.split("/")[0] for person in people}
        for split, people in actors().people.items()
    }
    assert cultures["test"] == {"romans", "kushites", "han"}
    assert not cultures["train"] & cultures["test"]


def test_a_take_shows_only_people_of_its_split() -> None:
    wardrobe = {id(look.skin) for person in actors().people["test"] for look in person.bodies}
    assert all(id(take(seed, people="test").cast.body.skin) in wardrobe for seed in range(40))


def test_invented_people_look_like_nobody_and_are_built_like_training_people() -> None:
    people = [invented_cast(actors(), np.random.default_rng(seed), "train") for seed in range(20)]
    looks = [look for person in actors().people["train"] for look in person.bodies]
    assert {id(person.body.mesh) for person in people} <= {id(look.mesh) for look in looks}
    for person in people:
        assert not any(np.array_equal(person.body.skin, look.skin) for look in looks)
    assert len({person.body.skin.tobytes() for person in people}) == len(people)


def test_held_out_clips_are_not_those_of_training() -> None:
    clips = actors().clips
    for motion in ("stand", "walk", "run", "strike", "thrust", "work"):
        names = {split: {clip.name for clip in clips[split][motion]} for split in clips}
        assert names["train"]
        assert names["test"]
        assert not names["train"] & names["test"]


def test_the_same_seed_draws_the_same_pictures() -> None:
    first, second = (take(3, length=4).pixels(actors(), size=48) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_unrelated_frames_come_with_their_joints() -> None:
    rng = np.random.default_rng(0)
    frames, joints = unrelated_frames(actors(), rng, people="train", count=5, size=32)
    assert frames.shape == (5, 32, 32, 3)
    assert frames.dtype == np.uint8
    assert joints.shape == (5, 16, 3)
    assert np.isfinite(joints).all()
