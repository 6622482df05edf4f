"""The partitioner, compared with the vendor's."""

from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner import murmur2 as vendors

from pipeline.broker.partitioner import murmur2, partition_of


@given(st.binary(max_size=300))
def test_keys_are_hashed_as_the_client_of_kafka_does(key: bytes) -> None:
    assert murmur2(key) == vendors(key) & 0xFFFFFFFF


def test_every_partition_is_used() -> None:
    assert {partition_of(b"cam-%d" % n, 8) for n in range(200)} == set(range(8))
