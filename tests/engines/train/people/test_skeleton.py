"""How the demo's joints are joined in a drawing."""

import pytest

pytest.importorskip("numba", reason="rendering needs the extra longtake[train]")

from engines.train.people.skeleton import JOINT_NAMES, JOINT_PAIRS, MIRRORED


def test_lines_join_all_joints_and_close_no_ring() -> None:
    reached = {0}
    for one, other in JOINT_PAIRS:
        assert one in reached
        assert other not in reached
        reached.add(other)
    assert reached == set(range(len(JOINT_NAMES)))


def test_the_left_side_is_joined_as_the_right_one() -> None:
    mirrored = {(int(MIRRORED[one]), int(MIRRORED[other])) for one, other in JOINT_PAIRS}
    assert mirrored == set(JOINT_PAIRS)
