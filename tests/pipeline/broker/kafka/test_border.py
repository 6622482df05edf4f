"""The vendor's errors become ours by what to do about them, also where their class does not say."""

import pytest
from kafka.errors import KafkaError, TopicAuthorizationFailedError

from pipeline.broker.kafka.vendor.border import translated
from pipeline.connection import Connection
from pipeline.errors import BrokerUnavailableError, NotPermittedError

HERE = Connection("127.0.0.1:9092")
REFUSED = "Unexpected error in TxnOffsetCommitResponse: [Error 29] TopicAuthorizationFailedError"


@pytest.mark.parametrize(
    "error",
    [
        KafkaError(REFUSED),
        KafkaError("Cannot perform send", TopicAuthorizationFailedError({"predictions"})),
    ],
)
def test_a_refusal_in_a_plain_error_is_not_tried_again(error: KafkaError) -> None:
    with pytest.raises(NotPermittedError, match="does not permit"), translated("committing", HERE):
        raise error


def test_any_other_plain_error_is_tried_again() -> None:
    with pytest.raises(BrokerUnavailableError), translated("committing", HERE):
        raise KafkaError("Unexpected error in TxnOffsetCommitResponse: [Error -1] UnknownError")
