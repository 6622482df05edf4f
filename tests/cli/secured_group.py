"""A group on the secured Kafka, and users of our own beside those of the roles."""

import itertools
import json
import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.broker.kafka.privileges import Command, Privilege, Role, privileges
from pipeline.broker.kafka.users import UserAdmin
from pipeline.local.cluster import LocalKafka
from pipeline.records import Topics

PASSWORD = "of-a-test"  # noqa: S105 - of users who live as long as one test
_names = itertools.count()


class SecuredGroup:
    """Topics and a group with names of their own; the roles may run their commands for it."""

    def __init__(self, secured: LocalKafka, folder: Path, bundle: Path) -> None:
        self._secured, self._folder = secured, folder
        self.name = name = f"s{os.getpid()}-{next(_names)}"
        self.topics = Topics(
            *(f"{name}.{role}" for role in ("frames", "predictions", "dlq", "state", "cameras"))
        )
        secured.protection.grant([(self.topics, name)])
        settings = {
            "group": name,
            "frames_topic": self.topics.frames,
            "predictions_topic": self.topics.predictions,
            "dead_letters_topic": self.topics.dead_letters,
            "cameras_topic": self.topics.cameras,
            "bundle": str(bundle),
            "start": "earliest",
            "metrics_port": 0,
        }
        self.file = _written(folder / "group.toml", settings)

    def of_role(self, role: Role) -> tuple[str | Path, ...]:
        """The flags with which a role's command works for this group."""
        return ("--kafka", self.file_of(role), "--config", self.file)

    def file_of(self, role: Role) -> Path:
        """The file for `--kafka` of a role."""
        return self._secured.protection.folder.client_file(role)

    def needs(self, command: Command) -> tuple[Privilege, ...]:
        return privileges(command, self.topics, self.name)

    def of_user(self, granted: Iterable[Privilege]) -> Path:
        """A file for `--kafka` of a new user, who may do what is granted and nothing else."""
        user = f"u{os.getpid()}-{next(_names)}"
        admin = UserAdmin(self._secured.connection)
        admin.allow(user, granted)
        admin.set_password(user, PASSWORD)
        admin.close()
        settings = {
            "bootstrap": self._secured.bootstrap,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": user,
            "sasl_password": PASSWORD,
            "ssl_ca_location": str(self._secured.protection.folder.ca),
        }
        return _written(self._folder / f"{user}.toml", settings)


def _written(path: Path, settings: dict[str, object] | dict[str, str]) -> Path:
    path.write_text("".join(f"{name} = {json.dumps(v)}\n" for name, v in settings.items()))
    return path
