"""The vendor's errors become ours by what to do about them, also where their class does not say."""

import pytest
from kafka.errors import KafkaError, TopicAuthorizationFailedError

from pipeline.broker.kafka.vendor.border import translated
from pipeline.errors import BrokerUnavailableError, TopicError

REFUSED = "Unexpected error in TxnOffsetCommitResponse: [Error 29] TopicAuthorizationFailedError"


@pytest.mark.parametrize(
    "error",
    [
        KafkaError(REFUSED),
        KafkaError("Cannot perform send", TopicAuthorizationFailedError({"predictions"})),
    ],
)
def test_a_refusal_in_a_plain_error_is_not_tried_again(error: KafkaError) -> None:
    with pytest.raises(TopicError, match="the broker does not allow it"), translated("committing"):
        raise error


def test_any_other_plain_error_is_tried_again() -> None:
    with pytest.raises(BrokerUnavailableError), translated("committing"):
        raise KafkaError("Unexpected error in TxnOffsetCommitResponse: [Error -1] UnknownError")
