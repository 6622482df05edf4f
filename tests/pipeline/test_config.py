"""Settings: which of four sources wins, and the error for a wrong value."""

import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import ForeignState, OnStop, Start, WorkerConfig, load_config
from pipeline.errors import ConfigError
from pipeline.records import Topics


@pytest.fixture(autouse=True)
def _no_variables_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("LONGTAKE_")]:
        monkeypatch.delenv(name)


def toml(folder: Path, text: str) -> Path:
    path = folder / "longtake.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(file: Path | None = None, /, **flags: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        load_config(file, flags)
    assert refused.value.exit_code == 2
    return str(refused.value)


# ---------------------------------------------------------------------- precedence


def test_the_defaults_are_those_of_the_design() -> None:
    config = load_config(None, {})
    assert (config.start, config.foreign_state) == (Start.LATEST, ForeignState.REFUSE)
    assert (config.gap_reset_s, config.checkpoint_s) == (2.0, 0.1)
    assert config.topics == Topics("frames", "predictions", "frames.dlq", "longtake.state")


def test_a_file_outranks_the_default(tmp_path: Path) -> None:
    assert load_config(toml(tmp_path, "max_batch = 3"), {}).max_batch == 3


def test_the_environment_outranks_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAKE_MAX_BATCH", "4")
    assert load_config(toml(tmp_path, "max_batch = 3"), {}).max_batch == 4


def test_a_flag_outranks_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAKE_MAX_BATCH", "4")
    assert load_config(toml(tmp_path, "max_batch = 3"), {"max_batch": 5}).max_batch == 5


def test_each_key_is_looked_up_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAKE_GROUP", "from-environment")
    config = load_config(toml(tmp_path, 'slot = "from-file"\ngroup = "x"'), {"max_batch": 5})
    assert (config.slot, config.group, config.max_batch) == ("from-file", "from-environment", 5)
    assert config.checkpoint_s == 0.1


def test_a_flag_that_was_not_given_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAKE_MAX_BATCH", "4")
    assert load_config(None, {"max_batch": None, "slot": None}).max_batch == 4


def test_a_flag_of_zero_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAKE_METRICS_PORT", "9000")
    assert load_config(None, {"metrics_port": 0}).metrics_port == 0


def test_one_call_leaves_nothing_behind_for_the_next(tmp_path: Path) -> None:
    load_config(toml(tmp_path, "max_batch = 3"), {})
    assert load_config(None, {}).max_batch == WorkerConfig.model_fields["max_batch"].default


def test_at_a_stop_a_worker_leaves_its_group_unless_told_to_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_config(None, {}).on_stop is OnStop.LEAVE
    assert load_config(toml(tmp_path, 'on_stop = "stay"'), {}).on_stop is OnStop.STAY
    monkeypatch.setenv("LONGTAKE_ON_STOP", "stay")
    assert load_config(None, {}).on_stop is OnStop.STAY
    assert load_config(None, {"on_stop": OnStop.LEAVE}).on_stop is OnStop.LEAVE


def test_words_are_read_as_what_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAKE_START", "earliest")
    config = load_config(None, {"foreign_state": "carry"})
    assert config.start is Start.EARLIEST
    assert config.foreign_state is ForeignState.CARRY


def test_the_changelog_is_named_after_the_group() -> None:
    assert load_config(None, {"group": "night"}).topics.state == "night.state"


def test_a_dotenv_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("LONGTAKE_MAX_BATCH=4")
    monkeypatch.chdir(tmp_path)
    assert load_config(None, {}).max_batch == 16


def test_settings_do_not_change_once_loaded() -> None:
    config = load_config(None, {})
    with pytest.raises(ValueError, match="frozen"):
        config.max_batch = 3


# ---------------------------------------------------------------------- unknown keys


def test_an_unknown_key_in_the_file_is_named_with_the_known_ones(tmp_path: Path) -> None:
    said = refusal(toml(tmp_path, "max_bach = 3"))
    assert "max_bach" in said
    assert all(name in said for name in WorkerConfig.model_fields)


def test_an_unknown_table_in_the_file_is_named(tmp_path: Path) -> None:
    assert "worker" in refusal(toml(tmp_path, "[worker]\nmax_batch = 3"))


@pytest.mark.parametrize("name", ["LONGTAKE_MAX_BACH", "LONGTAKE_", "LONGTAKE_max_bach"])
def test_an_unknown_variable_is_named_with_the_known_ones(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "3")
    said = refusal()
    assert name in said
    assert all(f"LONGTAKE_{known.upper()}" in said for known in WorkerConfig.model_fields)


def test_a_variable_of_another_part_is_none_of_the_workers_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LONGTAKE_CACHE", "/tmp/x")  # noqa: S108
    monkeypatch.setenv("LONGTAKES", "x")
    assert load_config(None, {}).max_batch == 16


def test_an_unknown_flag_is_named_with_the_known_ones() -> None:
    said = refusal(max_bach=3)
    assert "max_bach" in said
    assert "max_batch" in said


# ---------------------------------------------------------------------- wrong values

WRONG = [
    ("max_batch", 0),
    ("max_batch", 1_000_000),
    ("max_batch", "many"),
    ("max_batch", 1.5),
    ("max_batch", True),
    ("max_batch", [3]),
    ("checkpoint_s", 0.0),
    ("checkpoint_s", -0.1),
    ("gap_reset_s", 0),
    ("gap_reset_s", float("nan")),
    ("stream_ttl_s", float("inf")),
    ("metrics_port", 65_536),
    ("start", "yesterday"),
    ("foreign_state", "ignore"),
    ("engine", "abacus"),
    ("group", "a b"),
    ("group", ""),
    ("slot", "a/b"),
    ("frames_topic", "x" * 250),
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_wrong_flag_is_named_with_its_value(key: str, value: object) -> None:
    said = refusal(None, **{key: value})
    assert key in said
    assert str(value) in said


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_wrong_value_in_the_file_is_named(key: str, value: object, tmp_path: Path) -> None:
    written = f'"{value}"' if isinstance(value, str) else str(value).lower()
    said = refusal(toml(tmp_path, f"{key} = {written}"))
    assert key in said


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, v in WRONG if not isinstance(v, bool)])
def test_a_wrong_variable_is_named(
    key: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LONGTAKE_{key.upper()}", str(value))
    assert key in refusal().lower()


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    said = refusal(toml(tmp_path, "max_bach = 3\nmax_batch = 0"), gap_reset_s=-1)
    assert all(key in said for key in ("max_bach", "max_batch", "gap_reset_s"))


# ---------------------------------------------------------------------- expected streams


def test_expected_streams_are_a_list_in_the_file(tmp_path: Path) -> None:
    config = load_config(toml(tmp_path, 'expected_streams = ["gate", "yard:2"]'), {})
    assert config.expected_streams == ("gate", "yard:2")


def test_expected_streams_are_a_json_list_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LONGTAKE_EXPECTED_STREAMS", '["gate", "yard"]')
    assert load_config(None, {}).expected_streams == ("gate", "yard")


def test_a_list_in_the_environment_that_is_no_json_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LONGTAKE_EXPECTED_STREAMS", "gate, yard")
    said = refusal()
    assert "expected_streams" in said
    assert "JSON list" in said


def test_an_expected_stream_has_the_id_of_a_stream() -> None:
    assert "expected_streams.1 = 'the yard'" in refusal(expected_streams=["gate", "the yard"])


def test_more_than_ten_thousand_expected_streams_are_refused_in_a_short_line() -> None:
    said = refusal(expected_streams=[f"cam-{n}" for n in range(10_001)])
    assert "at most 10000" in said
    assert len(said) < 500


# ---------------------------------------------------------------------- broken files


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "no.toml") in refusal(tmp_path / "no.toml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert str(tmp_path) in refusal(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        *("max_batch = ", "max_batch: 3", "[", "a = 1\na = 2", "max_batch = " + "9" * 5_000),
        *("a = " + "[" * 100_000, "a = " + "{a=" * 100_000),
    ],
    ids=lambda text: repr(text[:16]),
)
def test_a_file_that_is_not_toml_is_named(text: str, tmp_path: Path) -> None:
    path = toml(tmp_path, text)
    assert str(path) in refusal(path)


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "longtake.toml"
    path.write_bytes('bundle = "Grüße"'.encode("latin-1"))
    assert str(path) in refusal(path)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_config(toml(tmp_path, ""), {}).model_dump() == load_config(None, {}).model_dump()


# ---------------------------------------------------------------------- names that collide


def test_two_kinds_of_records_need_two_topics() -> None:
    told = refusal(dead_letters_topic="frames")
    assert "frames_topic and dead_letters_topic are both 'frames'" in told
    assert "predictions_topic and cameras_topic" in refusal(predictions_topic="cameras")


@pytest.mark.parametrize(
    "setting", ["frames_topic", "predictions_topic", "dead_letters_topic", "cameras_topic"]
)
def test_no_topic_has_a_name_that_the_memory_of_a_group_has(setting: str) -> None:
    told = refusal(group="x", **{setting: "x.state"})
    assert f"{setting} = 'x.state': names that end in .state are those of the memory" in told
    assert "x.state" in refusal(group="other", **{setting: "x.state"})


def test_no_worker_has_the_slot_of_a_reset() -> None:
    assert "slot = 'reset': `longtake reset` works under this name" in refusal(slot="reset")


def test_without_a_topic_for_cameras_nothing_collides_with_it() -> None:
    assert load_config(None, {"cameras_topic": ""}).topics.cameras == ""
