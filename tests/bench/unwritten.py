"""A worker whose committer writes nothing and reports success, to measure the cost of durability.

Everything else is the real worker: it polls, decodes, predicts, freezes and serializes.
"""

from pipeline.broker.checkpoint import Checkpoint, Member
from pipeline.broker.kafka.writer import KafkaWriter
from pipeline.cli.main import main


def write_nothing(writer: KafkaWriter, checkpoint: Checkpoint, member: Member) -> None:
    """Report a checkpoint as committed, without writing it."""
    del writer, checkpoint, member


if __name__ == "__main__":
    setattr(KafkaWriter, "commit", write_nothing)  # noqa: B010 - mypy lets no method be replaced
    main()
