"""Asks a broker what our user may do with a group or a transactional id, and changes nothing.

Topics need no request of their own: a broker describes them with the operations that it permits.
The other requests are refused in any case: with an error of authorization, or because they name a
member or a producer that does not exist.
"""

import time
from collections.abc import Mapping
from typing import Any

from kafka.admin import KafkaAdminClient
from kafka.errors import (
    AuthorizationError,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    NotCoordinatorError,
    for_code,
)
from kafka.protocol.consumer import HeartbeatRequest
from kafka.protocol.metadata import CoordinatorType
from kafka.protocol.producer import EndTxnRequest

COORDINATOR_S = 10.0  # a cluster's first group makes a topic first
AGAIN_S = 0.1
NOBODY = -1  # a generation, a producer id, an epoch that no one has

NOT_YET = (CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError)
"""What is answered as long as a group's or a transaction's coordinator is not there yet."""


def lacks_write(described: Mapping[str, Any]) -> bool:
    """Whether our user may not write a topic, by the broker's description of it.

    A producer finds that out with its first records, and does not name the topic.
    """
    permitted = described.get("authorized_operations")
    return described["error_code"] == 0 and permitted is not None and "WRITE" not in permitted


def permitted_on_group(admin: KafkaAdminClient, group: str) -> frozenset[str]:
    """Return which of READ and DESCRIBE our user may do with a group, existing or not."""
    request = HeartbeatRequest(
        group_id=group, generation_id=NOBODY, member_id="nobody", group_instance_id=None
    )
    return _permitted(admin, CoordinatorType.GROUP, group, request, "READ")


def permitted_on_transactional_id(admin: KafkaAdminClient, name: str) -> frozenset[str]:
    """Return which of WRITE and DESCRIBE our user may do with a transactional id.

    The request would end a transaction, but names a producer that no transaction belongs to.
    """
    request = EndTxnRequest(
        transactional_id=name,
        producer_id=NOBODY,
        producer_epoch=NOBODY,
        committed=False,
        max_version=3,
    )
    return _permitted(admin, CoordinatorType.TRANSACTION, name, request, "WRITE")


def _permitted(
    admin: Any, kind: CoordinatorType, name: str, request: Any, operation: str
) -> frozenset[str]:
    """Return DESCRIBE if the coordinator is named to us, and `operation` if it takes the request.

    Who may READ or WRITE may DESCRIBE too.
    """
    manager = admin._manager  # noqa: SLF001 - the client has no method for these requests
    deadline_s = time.monotonic() + COORDINATOR_S
    while True:
        try:
            node = manager.run(admin._find_coordinator_id, name, kind)  # noqa: SLF001
            code = manager.run(manager.send, request, node).error_code
        except AuthorizationError:
            return frozenset()
        except NOT_YET:
            code = CoordinatorNotAvailableError.errno
        error = for_code(code)  # type: ignore[no-untyped-call]
        if issubclass(error, AuthorizationError):
            return frozenset({"DESCRIBE"})
        if not issubclass(error, NOT_YET):
            return frozenset({"DESCRIBE", operation})
        if time.monotonic() > deadline_s:
            raise error(f"no coordinator of {name}")
        time.sleep(AGAIN_S)
