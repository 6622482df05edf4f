"""A worker whose committer writes nothing and is always believed: what durability is measured by.

Everything else is the real worker: it polls, decodes, predicts, freezes and serializes.
"""

from pipeline.broker.checkpoint import Checkpoint, Member
from pipeline.broker.kafka.writer import KafkaWriter
from pipeline.cli.main import main


def write_nothing(writer: KafkaWriter, checkpoint: Checkpoint, member: Member) -> None:
    """Take a checkpoint for committed."""
    del writer, checkpoint, member


if __name__ == "__main__":
    setattr(KafkaWriter, "commit", write_nothing)  # noqa: B010 - mypy lets no method be replaced
    main()
