"""The least privileges of each command: what its user must be allowed to do on a Kafka with ACLs.

The only such table. `longtake broker --secure` grants what it says, `topics check --as` compares
with it, docs/kafka-security.md prints it, and a test runs every command with nothing more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline.connection import RESET_SLOT, transactional_id, transactional_prefix
from pipeline.records import Topics
from pipeline.wire.belongings.ownership import OWNERS


class Command(StrEnum):
    """The commands that reach a Kafka."""

    CAMERA = "camera"
    WORKER = "worker"
    TAIL = "tail"
    TAIL_PICTURES = "tail --pictures"
    TAIL_CAMERAS = "tail --cameras"
    AUDIT = "audit"
    REPLAY = "replay"
    RESET_PARTITION = "reset partition"
    RESET_STREAM = "reset stream"
    TOPICS_TAKE = "topics take"
    TOPICS_CREATE = "topics create"
    TOPICS_GROW = "topics grow"
    TOPICS_CHECK = "topics check"


class Role(StrEnum):
    """A user of a secured local Kafka, who may run some commands."""

    CAMERA = "camera"
    WORKER = "worker"
    READER = "reader"
    OPERATOR = "operator"

    @property
    def commands(self) -> tuple[Command, ...]:
        """What the user may run."""
        return _COMMANDS[self]


class ResourceKind(StrEnum):
    """What a privilege is about; the names are Kafka's."""

    TOPIC = "TOPIC"
    GROUP = "GROUP"
    TRANSACTIONAL_ID = "TRANSACTIONAL_ID"


class Operation(StrEnum):
    """What a privilege allows; the names are Kafka's."""

    READ = "READ"
    WRITE = "WRITE"
    CREATE = "CREATE"
    ALTER = "ALTER"
    DESCRIBE = "DESCRIBE"
    DESCRIBE_CONFIGS = "DESCRIBE_CONFIGS"


class Resource(StrEnum):
    """What a command needs privileges on, before topics and group have names."""

    FRAMES = "frames"
    PREDICTIONS = "predictions"
    EVENTS = "events"
    DEAD_LETTERS = "dead letters"
    STATE = "state"
    CAMERAS = "cameras"
    GROUP = "group"
    WORKERS_TRANSACTIONS = "transactional ids of workers"
    RESETS_TRANSACTION = "transactional id of resets"
    OWNERS = "claims"
    OWNERS_TRANSACTION = "transactional id of claims"


@dataclass(frozen=True, slots=True)
class Privilege:
    """What must be allowed on one resource, or on all whose name begins with `name`."""

    resource_kind: ResourceKind
    name: str
    prefixed: bool
    operations: frozenset[Operation]


_READ, _WRITE, _CREATE = Operation.READ, Operation.WRITE, Operation.CREATE
_DESCRIBE, _CONFIGS = Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS
_ALTER = Operation.ALTER

Needs = dict[Resource, frozenset[Operation]]


def _on(resource: Resource, *operations: Operation) -> Needs:
    return {resource: frozenset(operations)}


TOPICS = (
    Resource.FRAMES,
    Resource.PREDICTIONS,
    Resource.EVENTS,
    Resource.DEAD_LETTERS,
    Resource.STATE,
    Resource.CAMERAS,
)

# A claim on a topic is an offset of the topic, so it needs READ there.
_CLAIMING: Needs = _on(Resource.OWNERS, _READ, _DESCRIBE) | _on(
    Resource.OWNERS_TRANSACTION, _WRITE, _DESCRIBE
)

NEEDS: Mapping[Command, Needs] = {
    # DESCRIBE_CONFIGS: the camera reads how large a record of the topic may be
    # It publishes frames without the cameras topic too, but then no states.
    Command.CAMERA: _on(Resource.FRAMES, _WRITE, _DESCRIBE, _CONFIGS)
    | _on(Resource.CAMERAS, _WRITE, _DESCRIBE),
    Command.WORKER: _on(Resource.FRAMES, _READ, _DESCRIBE)
    | _on(Resource.PREDICTIONS, _READ, _WRITE, _DESCRIBE)
    | _on(Resource.EVENTS, _READ, _WRITE, _DESCRIBE)
    | _on(Resource.DEAD_LETTERS, _READ, _WRITE, _DESCRIBE)
    | _on(Resource.STATE, _READ, _WRITE, _DESCRIBE, _CONFIGS)
    | _on(Resource.GROUP, _READ, _DESCRIBE)
    | _on(Resource.WORKERS_TRANSACTIONS, _WRITE, _DESCRIBE)
    | _CLAIMING,
    Command.TAIL: _on(Resource.PREDICTIONS, _READ, _DESCRIBE),
    Command.TAIL_PICTURES: _on(Resource.FRAMES, _READ, _DESCRIBE)
    | _on(Resource.PREDICTIONS, _READ, _DESCRIBE),
    Command.TAIL_CAMERAS: _on(Resource.CAMERAS, _READ, _DESCRIBE),
    Command.AUDIT: _on(Resource.FRAMES, _DESCRIBE)
    | _on(Resource.PREDICTIONS, _READ, _DESCRIBE)
    | _on(Resource.DEAD_LETTERS, _READ, _DESCRIBE)
    | _on(Resource.STATE, _READ, _DESCRIBE, _CONFIGS),
    Command.REPLAY: _on(Resource.FRAMES, _READ, _DESCRIBE)
    | _on(Resource.PREDICTIONS, _READ, _DESCRIBE)
    | _on(Resource.STATE, _READ, _DESCRIBE),
    Command.RESET_PARTITION: _on(Resource.FRAMES, _READ, _DESCRIBE)
    | _on(Resource.PREDICTIONS, _DESCRIBE)
    | _on(Resource.DEAD_LETTERS, _DESCRIBE)
    | _on(Resource.STATE, _READ, _WRITE, _DESCRIBE, _CONFIGS)
    | _on(Resource.GROUP, _READ, _DESCRIBE)
    | _on(Resource.RESETS_TRANSACTION, _WRITE, _DESCRIBE),
    Command.RESET_STREAM: _on(Resource.FRAMES, _WRITE, _DESCRIBE)
    | _on(Resource.PREDICTIONS, _DESCRIBE)
    | _on(Resource.DEAD_LETTERS, _DESCRIBE)
    | _on(Resource.STATE, _READ, _DESCRIBE, _CONFIGS),
    Command.TOPICS_CREATE: {
        resource: frozenset({_CREATE, _DESCRIBE, _CONFIGS}) for resource in TOPICS
    }
    | _on(Resource.OWNERS, _DESCRIBE),
    Command.TOPICS_CHECK: {resource: frozenset({_DESCRIBE, _CONFIGS}) for resource in TOPICS}
    | _on(Resource.OWNERS, _DESCRIBE),
    Command.TOPICS_TAKE: _on(Resource.PREDICTIONS, _READ, _DESCRIBE)
    | _on(Resource.EVENTS, _READ, _DESCRIBE)
    | _on(Resource.DEAD_LETTERS, _READ, _DESCRIBE)
    | _CLAIMING,
    Command.TOPICS_GROW: _on(Resource.FRAMES, _READ, _DESCRIBE, _CONFIGS, _ALTER)
    | _on(Resource.PREDICTIONS, _DESCRIBE, _ALTER)
    | _on(Resource.STATE, _READ, _WRITE, _DESCRIBE, _CONFIGS, _ALTER)
    | _on(Resource.GROUP, _READ, _DESCRIBE)
    | _on(Resource.RESETS_TRANSACTION, _WRITE, _DESCRIBE),
}

_COMMANDS: Mapping[Role, tuple[Command, ...]] = {
    Role.CAMERA: (Command.CAMERA,),
    Role.WORKER: (Command.WORKER,),
    Role.READER: (
        Command.TAIL,
        Command.TAIL_PICTURES,
        Command.TAIL_CAMERAS,
        Command.AUDIT,
        Command.REPLAY,
    ),
    Role.OPERATOR: (
        Command.TOPICS_CREATE,
        Command.TOPICS_CHECK,
        Command.TOPICS_TAKE,
        Command.TOPICS_GROW,
        Command.RESET_PARTITION,
        Command.RESET_STREAM,
    ),
}


def privileges(command: Command, topics: Topics, group: str) -> tuple[Privilege, ...]:
    """Return the least privileges of a command, one for each resource, in the table's order.

    A topic without a name is not used, so it needs none.
    """
    needs = [(_resource(resource, topics, group), ops) for resource, ops in NEEDS[command].items()]
    return tuple(Privilege(*where, operations) for where, operations in needs if where[1])


def role_privileges(role: Role, every: Iterable[tuple[Topics, str]]) -> tuple[Privilege, ...]:
    """Return the privileges of a role for several groups and their topics, one per resource."""
    merged: dict[tuple[ResourceKind, str, bool], frozenset[Operation]] = {}
    for topics, group in every:
        for command in role.commands:
            for one in privileges(command, topics, group):
                resource = (one.resource_kind, one.name, one.prefixed)
                merged[resource] = merged.get(resource, frozenset()) | one.operations
    return tuple(Privilege(*resource, operations) for resource, operations in merged.items())


def _resource(resource: Resource, topics: Topics, group: str) -> tuple[ResourceKind, str, bool]:
    """Return kind and name of a resource, and whether the name is a prefix."""
    match resource:
        case Resource.FRAMES:
            return ResourceKind.TOPIC, topics.frames, False
        case Resource.PREDICTIONS:
            return ResourceKind.TOPIC, topics.predictions, False
        case Resource.EVENTS:
            return ResourceKind.TOPIC, topics.events, False
        case Resource.DEAD_LETTERS:
            return ResourceKind.TOPIC, topics.dead_letters, False
        case Resource.STATE:
            return ResourceKind.TOPIC, topics.state, False
        case Resource.CAMERAS:
            return ResourceKind.TOPIC, topics.cameras, False
        case Resource.GROUP:
            return ResourceKind.GROUP, group, False
        case Resource.WORKERS_TRANSACTIONS:
            return ResourceKind.TRANSACTIONAL_ID, transactional_prefix(group), True
        case Resource.RESETS_TRANSACTION:
            return ResourceKind.TRANSACTIONAL_ID, transactional_id(group, RESET_SLOT), False
        case Resource.OWNERS:
            return ResourceKind.GROUP, OWNERS, False
        case Resource.OWNERS_TRANSACTION:
            return ResourceKind.TRANSACTIONAL_ID, OWNERS, False
