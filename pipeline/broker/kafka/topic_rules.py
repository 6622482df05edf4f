"""What the topics of a group have to be, and what goes wrong if they are not. No Kafka here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

FRAME_BYTES = 9 << 20
DEAD_LETTER_BYTES = 1 << 20
FRAMES_RETENTION_MS = 6 * 3600 * 1000
SHORT_RETENTION_MS = 3600 * 1000  # what workers may be away without a loss, at least
COPIES = 3  # with fewer, no setting survives the loss of a broker and goes on writing
FOR_EVER = -1  # as a retention
UNFINISHED = "more than frames, so `longtake topics grow` is not finished: run it again"
DEFAULT_RETENTION_MS = 7 * 86_400_000  # of a topic that sets none, in Kafka

SETTINGS: Mapping[str, Mapping[str, str]] = {
    "frames": {
        "message.timestamp.type": "LogAppendTime",
        # As their producer compressed them: `unpacking` unpacks them within a limit. With any other
        # value the broker unpacks them into its heap and checks its size limit only afterwards.
        "compression.type": "producer",
        "max.message.bytes": str(FRAME_BYTES),
        "retention.ms": str(FRAMES_RETENTION_MS),
        "segment.bytes": str(256 << 20),
    },
    "predictions": {"message.timestamp.type": "LogAppendTime"},
    "events": {"message.timestamp.type": "LogAppendTime"},
    # Anyone who may publish frames can cause dead letters, so their topic has an end.
    # The log's own time: with a wrong clock of a worker, retention would delete them at once.
    "dead_letters": {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(DEAD_LETTER_BYTES),
        "retention.ms": str(7 * 24 * 3600 * 1000),
        "retention.bytes": str(1 << 30),
        "segment.bytes": str(64 << 20),
    },
    "state": {  # compacted eagerly: a restore reads the live records and little more
        "cleanup.policy": "compact",
        # else the broker refuses all commits of a worker whose clock is an hour ahead (KAFKA-14991)
        "message.timestamp.type": "LogAppendTime",
        "segment.bytes": str(32 << 20),
        "segment.ms": "60000",
        "min.cleanable.dirty.ratio": "0.1",
        "max.compaction.lag.ms": "60000",
        "delete.retention.ms": "3600000",
        "max.message.bytes": str(FRAME_BYTES),
    },
    # Compacted every ten minutes: a reader that begins reads some ten small records a camera.
    "cameras": {
        "cleanup.policy": "compact",
        # readers judge by the log's time whether the process of a camera still lives
        "message.timestamp.type": "LogAppendTime",
        "segment.bytes": str(16 << 20),
        "segment.ms": "600000",
        "min.cleanable.dirty.ratio": "0.1",
        "max.compaction.lag.ms": "600000",
    },
}
"""The settings of new topics, by role."""

UNDIVIDED = frozenset({"dead_letters", "cameras"})
"""Roles whose topics may have other partition counts than that of frames."""
OPTIONAL = frozenset({"cameras"})
"""Roles whose topics workers, audits and replays do without."""


def new_settings(role: str, replicas: int | None, retention_ms: int | None) -> dict[str, str]:
    """Return the settings of a new topic; `retention_ms` is that of frames."""
    settings = dict(SETTINGS[role])
    longer = retention_ms is not None and retention_ms > DEFAULT_RETENTION_MS
    if role == "frames" or (longer and role in ("predictions", "events")):
        settings |= {} if retention_ms is None else {"retention.ms": str(retention_ms)}
    if replicas is not None and replicas >= COPIES:
        settings["min.insync.replicas"] = "2"
    return settings


class Presence(StrEnum):
    """What the broker says of a topic."""

    PRESENT = "present"
    MISSING = "missing"
    HIDDEN = "hidden"  # it may exist: our user may not describe it


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """One topic as the broker describes it. `settings` are empty if they cannot be read."""

    name: str
    role: str
    presence: Presence
    partitions: int = 0
    replicas: int = 0  # the lowest number of any partition
    settings: Mapping[str, str] | None = None
    operations: frozenset[str] = frozenset()  # what our user may do with it, in Kafka's words

    def number(self, setting: str) -> int | None:
        """Return the value of a setting that is a number; None if it is not known."""
        text = (self.settings or {}).get(setting, "")
        return int(text) if text.lstrip("-").isdigit() else None

    def text(self, setting: str) -> str | None:
        """Return the value of a setting; None if it is not known."""
        return (self.settings or {}).get(setting)


@dataclass(frozen=True, slots=True)
class Remark:
    """What is wrong with a topic. `mend` are the settings with which it is right."""

    text: str
    mend: Mapping[str, str]
    stops: bool = False  # whether workers refuse to start


@dataclass(frozen=True, slots=True)
class TopicReport:
    """The result of checking or creating one topic.

    A problem stops what uses the topic: workers, or the publishing of the states of cameras.
    """

    name: str
    role: str
    partitions: int
    created: bool
    replicas: int = 0
    retention_ms: int | None = None  # None if it is not known
    problem: str | None = None
    danger: str | None = None
    unchecked: str | None = None  # why its settings are not known
    mend: tuple[str, ...] = ()  # commands, each for one danger


def problem(topic: TopicFacts, frames: TopicFacts) -> str | None:
    """Return why an existing topic cannot be used; None if it can."""
    counted = frames.presence is Presence.PRESENT and topic.role not in UNDIVIDED
    if counted and topic.partitions < frames.partitions:
        count = frames.partitions
        text = f"has {topic.partitions} partitions, {frames.name} has {count}"
        if topic.role == "events":
            return f"{text}: use kafka-topics.sh --alter"
        return f"{text}: `longtake topics grow --partitions {count}` keeps the memory of streams"
    policy = topic.text("cleanup.policy")
    if topic.role == "state" and policy is not None and policy != "compact":
        return "is not compacted: set cleanup.policy=compact, or memory will be deleted"
    return None


def dangers(topic: TopicFacts, topics: Mapping[str, TopicFacts], brokers: int) -> list[Remark]:
    """Return what can go wrong with an existing topic though workers can use it."""
    rules = {
        "frames": _of_frames,
        "predictions": _of_predictions,
        "events": _of_predictions,
        "dead_letters": _of_dead_letters,
        "state": _of_state,
        "cameras": _of_cameras,
    }
    if topic.presence is not Presence.PRESENT or topic.settings is None:
        return []
    remarks = [*rules[topic.role](topic, topics), *_of_copies(topic, brokers)]
    if topic.role not in UNDIVIDED and topic.partitions > topics["frames"].partitions > 0:
        remarks.append(Remark(f"has {topic.partitions} partitions: {UNFINISHED}", {}))
    return remarks


def _dated(topic: TopicFacts, effect: str) -> Iterator[Remark]:
    """Remark on a topic whose records are dated by their producers; `effect` is what that does."""
    stamped = topic.text("message.timestamp.type")
    if stamped not in (None, "LogAppendTime"):
        yield Remark(
            f"message.timestamp.type={stamped} {effect}",
            {"message.timestamp.type": "LogAppendTime"},
        )


def _of_frames(topic: TopicFacts, topics: Mapping[str, TopicFacts]) -> Iterator[Remark]:
    del topics
    yield from _dated(
        topic,
        "lets every producer date its records: one camera"
        " with a wrong clock makes the others of its partition lose their memory",
    )
    packed = topic.text("compression.type")
    if packed not in (None, "producer"):
        yield Remark(
            f"compression.type={packed} makes the broker unpack what producers compress, and one"
            " small record can fill its heap: workers unpack it themselves",
            {"compression.type": "producer"},
        )
    if "compact" in (topic.text("cleanup.policy") or ""):
        yield Remark(
            "cleanup.policy=compact deletes all frames of a camera but its newest, read or unread",
            {"cleanup.policy": "delete"},
        )
    yield from _too_small(topic, FRAME_BYTES, "larger frames are refused by the broker")
    kept_ms = topic.number("retention.ms")
    if kept_ms is not None and FOR_EVER < kept_ms < SHORT_RETENTION_MS:
        yield Remark(
            f"retention.ms={kept_ms} deletes frames after {kept_ms // 60_000} min: those that no"
            " worker has read by then are lost",
            {"retention.ms": SETTINGS["frames"]["retention.ms"]},
        )


def _of_predictions(topic: TopicFacts, topics: Mapping[str, TopicFacts]) -> Iterator[Remark]:
    if "compact" in (topic.text("cleanup.policy") or ""):
        yield Remark(
            f"cleanup.policy=compact deletes all {topic.role} of a stream but the newest, and"
            " breaks its chain",
            {"cleanup.policy": "delete"},
        )
    kept_ms, frames_ms = topic.number("retention.ms"), topics["frames"].number("retention.ms")
    if kept_ms is None or frames_ms is None or kept_ms == FOR_EVER:
        return
    if kept_ms < frames_ms or frames_ms == FOR_EVER:
        yield Remark(
            f"retention.ms={kept_ms} is shorter than that of frames ({frames_ms}): audit and replay"
            f" miss the {topic.role} of frames that still exist",
            {"retention.ms": str(frames_ms)},
        )


def _of_dead_letters(topic: TopicFacts, topics: Mapping[str, TopicFacts]) -> Iterator[Remark]:
    frames = topics["frames"]
    if frames.presence is Presence.PRESENT and topic.partitions > frames.partitions:
        yield Remark(f"has {topic.partitions} partitions, more than {frames.name}", {})
    if "compact" in (topic.text("cleanup.policy") or ""):
        yield Remark(
            "cleanup.policy=compact deletes all dead letters of a camera but the newest",
            {"cleanup.policy": "delete"},
        )
    yield from _too_small(topic, DEAD_LETTER_BYTES - (1 << 16), "larger dead letters stop commits")


def _of_state(topic: TopicFacts, topics: Mapping[str, TopicFacts]) -> Iterator[Remark]:
    del topics
    yield from _dated(
        topic,
        "lets workers date their records: the broker refuses"
        " all commits of one whose clock is an hour ahead",
    )
    yield from _too_small(topic, DEAD_LETTER_BYTES - (1 << 16), "larger memories stop commits")


def _of_cameras(topic: TopicFacts, topics: Mapping[str, TopicFacts]) -> Iterator[Remark]:
    del topics
    yield from _dated(
        topic,
        "lets camera processes date their records: one with a"
        " wrong clock seems to be gone, or to live when it is gone",
    )
    policy = topic.text("cleanup.policy")
    if policy not in (None, "compact"):
        yield Remark(
            f"cleanup.policy={policy} keeps every state until it is deleted by its age: the last"
            " state of a camera that stopped is lost, and a new reader reads all the others",
            {"cleanup.policy": "compact"},
        )


def _too_small(topic: TopicFacts, wanted: int, costs: str) -> Iterator[Remark]:
    limit = topic.number("max.message.bytes")
    if limit is not None and limit < wanted:
        wanted_text = SETTINGS[topic.role]["max.message.bytes"]
        yield Remark(f"max.message.bytes={limit}: {costs}", {"max.message.bytes": wanted_text})


def _of_copies(topic: TopicFacts, brokers: int) -> Iterator[Remark]:
    synced, copies = topic.number("min.insync.replicas"), topic.replicas
    if synced is not None and copies and synced > copies:
        yield Remark(
            f"min.insync.replicas={synced} is more than its {copies} copies: no write is accepted",
            {"min.insync.replicas": str(max(1, copies - 1))},
        )
    elif synced is not None and copies > 1 and synced == copies:
        yield Remark(
            f"min.insync.replicas={synced} is all of its copies: while one broker restarts nothing"
            " can be written",
            {"min.insync.replicas": str(copies - 1)},
        )
    elif synced == 1 and copies >= COPIES:
        yield Remark(
            "min.insync.replicas=1 acknowledges what is on one broker alone: it is lost with it",
            {"min.insync.replicas": "2"},
        )
    if copies == 1 and brokers >= COPIES:
        yield Remark(
            f"has one copy, though there are {brokers} brokers: with one of them partitions are"
            " lost. kafka-reassign-partitions.sh adds copies",
            {},
        )
    if topic.text("unclean.leader.election.enable") == "true":
        yield Remark(
            "unclean.leader.election.enable=true lets a broker lead that lacks committed records:"
            " they are lost",
            {"unclean.leader.election.enable": "false"},
        )
