"""The named steps of the protocol at which a worker can be made to die."""

TRANSACTION = {  # the producer's method -> the name of the step
    "init_transactions": "init",
    "begin_transaction": "begin",
    "send": "send",
    "flush": "flush",
    "send_offsets_to_transaction": "offsets",
    "commit_transaction": "commit",
}
IN_TRANSACTION = (
    "after begin", "before send", "after send", "before flush", "after flush", "before offsets",
    "after offsets", "before commit",
)  # fmt: skip
RESTORE = ("before restore", "during restore", "after restore")
REVOKE = ("before revoke", "after revoke")
STEPS = (
    *(f"{when} {step}" for step in TRANSACTION.values() for when in ("before", "after")),
    *RESTORE,
    *REVOKE,
)
