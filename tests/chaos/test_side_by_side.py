"""Two groups on the same cameras do not meet: the short form of the run of ten minutes."""

from pathlib import Path

import pytest

from pipeline.local.cluster import LocalKafka
from tests.chaos.side_by_side.running import run
from tests.chaos.side_by_side.sides import two_sides
from tests.engines.bundles import write_tiny

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]


def test_two_models_on_the_same_cameras_keep_outputs_and_audits_apart(
    kafka: LocalKafka, tmp_path: Path
) -> None:
    bundles = [str(write_tiny(tmp_path / name, name=name, seed=n)) for n, name in enumerate("ab")]
    outcome = run(
        kafka.connection,
        two_sides("t-", bundles, workers=1),
        "t-side.frames",
        seconds=8,
        seed=1,
        folder=tmp_path,
        prometheus=None,
        say=lambda text: None,
    )
    assert outcome.wrong == []
    assert all(one.kills and one.dead_lettered for one in outcome.sides)
