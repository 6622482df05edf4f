"""How commands are found: one module each, imported when its command is asked for.

So a camera's process imports nothing that only a worker needs.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any

import typer
import typer.main
from typer.core import TyperGroup

PLACES = {
    "demo": "demo",
    "run": "run",
    "evaluate": "model.evaluate",
    "worker": "worker",
    "camera": "camera",
    "publish": "publish",
    "probe": "probe",
    "broker": "broker",
    "replay": "group.replay",
    "tail": "group.tail",
    "live": "live",
    "audit": "group.audit",
    "train": "model.train",
    "reset": "group.reset",
    "topics": "group.topics",
    "bundle": "model.bundle",
    "engine": "model.engine",
}
"""The module of each command, in the order of the help."""


def one_command() -> typer.Typer:
    """Make the app of a module with a single command, which has the name of the module."""
    return typer.Typer(add_completion=False, rich_markup_mode="markdown")


def command_group(name: str, *, about: str) -> typer.Typer:
    """Make the app of a module with several commands, which follow the name of the module."""
    return typer.Typer(
        name=name,
        help=about,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode="markdown",
    )


class CommandModules(MutableMapping[str, Any]):
    """Command name -> its click command, made from `app` of its module in `package`.

    `places` has the modules by name. Looking a command up imports its module; listing the names
    imports nothing.
    """

    def __init__(self, package: str, places: Mapping[str, str]) -> None:
        self._package, self._places = package, places
        self._made: dict[str, Any] = dict.fromkeys(places)  # None: not yet

    def __getitem__(self, name: str) -> Any:
        if self._made[name] is None:
            module = import_module(f"{self._package}.{self._places[name]}")
            self._made[name] = typer.main.get_command(module.app)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


class LongtakeGroup(TyperGroup):
    """The group `longtake`, in the order of its help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = CommandModules(__package__, PLACES)

    def list_commands(self, ctx: object) -> list[str]:
        """Return the names without importing the commands, as the base class would."""
        del ctx
        return list(self.commands)
