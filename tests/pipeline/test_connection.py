"""The value that every Kafka client is opened with, and the settings that refuse a wrong one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cameras.camera_settings import load_cameras
from pipeline.config import load_config
from pipeline.connection import RESET_SLOT, Connection, transactional_id, transactional_prefix
from pipeline.errors import ConfigError


def test_several_servers_are_separated_by_commas() -> None:
    connection = Connection("kafka-1:9092, kafka_2.lan:19092,[::1]:9092")
    assert connection.servers == ("kafka-1:9092", "kafka_2.lan:19092", "[::1]:9092")
    assert connection.shown == "kafka-1:9092,kafka_2.lan:19092,[::1]:9092"


@pytest.mark.parametrize(
    "wrong",
    ["", "kafka", "kafka:", ":9092", "kafka:0", "kafka:65536", "a:1,,b:2", "a b:1", "SSL://a:1"],
)
def test_what_is_no_list_of_servers_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="wanted host:port"):
        Connection(wrong)


@pytest.mark.parametrize("load", [load_config, load_cameras])
def test_settings_refuse_a_server_without_a_port(load) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=r"bootstrap = 'kafka'.*'kafka' is none"):
        load(None, {"bootstrap": "kafka"})


def test_a_reader_waits_longer_than_any_transaction_lasts() -> None:
    settings = load_config(None, {"transaction_timeout_s": 30.0}).group_settings
    assert settings.stall_s > settings.transaction_timeout_s


names = st.text("a.b", min_size=1, max_size=4)


@given(st.tuples(names, names), st.tuples(names, names))
def test_two_slots_of_any_groups_have_two_transactional_ids(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert (transactional_id(*one) == transactional_id(*other)) == (one == other)


def test_the_usual_transactional_ids_are_those_of_earlier_releases() -> None:
    assert transactional_id("my.group", "worker-0") == "my.group.worker-0"
    assert transactional_id("my.group", RESET_SLOT) == "my.group.reset"
    assert transactional_id("my.group", "a.b").startswith(transactional_prefix("my.group"))
