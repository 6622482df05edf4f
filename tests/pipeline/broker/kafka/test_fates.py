"""Errors of the Kafka client that no wait can mend stop a worker and name the setting."""

import pytest
from kafka.errors import (
    InvalidSessionTimeoutError,
    InvalidTimestampError,
    InvalidTransactionTimeoutError,
    KafkaError,
    MessageSizeTooLargeError,
    NotEnoughReplicasError,
    RecordListTooLargeError,
    UnknownProducerIdError,
    UnknownTopicOrPartitionError,
)

from pipeline.broker.kafka.vendor.border import translated
from pipeline.connection import Connection
from pipeline.errors import BrokerUnavailableError, ConfigError, LongtakeError, TopicError


@pytest.mark.parametrize(
    ("error", "fate", "words"),
    [
        (InvalidTransactionTimeoutError(), ConfigError, "transaction_timeout_s is above"),
        (InvalidSessionTimeoutError(), ConfigError, "session_timeout_s is not within"),
        (MessageSizeTooLargeError(), TopicError, "max.message.bytes"),
        (RecordListTooLargeError(), TopicError, "segment.bytes"),
        (UnknownTopicOrPartitionError(), TopicError, "topics check"),
        (InvalidTimestampError(), BrokerUnavailableError, "set this machine's clock"),
        (NotEnoughReplicasError(), BrokerUnavailableError, "NotEnoughReplicasError"),
        (UnknownProducerIdError(), BrokerUnavailableError, "UnknownProducerIdError"),
    ],
)
def test_an_error_ends_the_worker_only_if_waiting_cannot_mend_it(
    error: KafkaError, fate: type[LongtakeError], words: str
) -> None:
    with pytest.raises(fate, match=words), translated("committing", Connection("kafka:9092")):
        raise error
