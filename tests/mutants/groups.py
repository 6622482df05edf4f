"""Faults of groups side by side: what one publishes is taken for the work of the other."""

from tests.mutants.mutant import Mutant

OWNERSHIP = "tests/pipeline/delivery/test_ownership.py"
OWNERS = "tests/contracts/test_owners.py"
AUDIT = "tests/pipeline/judging/test_audit.py"

GROUP_MUTANTS = (
    Mutant(
        "groups side by side: the claim of another group is overlooked",
        "pipeline/delivery/ownership.py",
        "if one not in (None, self._group)}",
        "if one not in (None, self._group, 'actions')}",
        (OWNERSHIP,),
    ),
    Mutant(
        "groups side by side: the chain of an earlier release's prediction is not compared",
        "pipeline/delivery/ownership.py",
        "    return newer or snapshot.chain in (prediction.chain, NEW_CHAIN)",
        "    return newer or bool(snapshot.chain)",
        (OWNERSHIP,),
    ),
    Mutant(
        "groups side by side: a claim is made over the head of a faster one",
        "pipeline/broker/kafka/claims/topic_owners.py",
        "if now[kind] == seen[kind]]",
        "if kind in now]",
        (OWNERS,),
    ),
    Mutant(
        "groups side by side: an audit takes what another group published for its own",
        "pipeline/judging/audit.py",
        "        if self._others[Destination.PREDICTIONS].published(record):\n            return\n",
        "",
        (AUDIT,),
    ),
)
