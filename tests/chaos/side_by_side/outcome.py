"""What both groups have published, and what is wrong with it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class SideResult:
    """What one group has published, and what its audit says."""

    group: str
    predicted: int
    dead_lettered: int
    breaks: int
    others: list[Any]
    strangers: int  # records in its topics that do not name it
    models: list[str]
    kills: int


@dataclass(slots=True)
class Outcome:
    """The result of a run. `alarms`: the groups that are missing, by the alerts, while the second
    one stands still."""

    published: int
    sides: list[SideResult]
    alarms: list[str] | None
    expected_alarms: list[str]
    exits: list[int] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """What is not as it should be."""
        found = [f"a worker ended with {code}" for code in self.exits]
        for one in self.sides:
            if one.predicted + one.dead_lettered != self.published:
                found.append(
                    f"{one.group}: {one.predicted} predicted and {one.dead_lettered} dead-lettered"
                    f" of {self.published} frames"
                )
            counts = {"breaks": one.breaks, "others": one.others, "strangers": one.strangers}
            found += [f"{one.group}: {name} {count}" for name, count in counts.items() if count]
            if len(one.models) != 1:
                found.append(f"{one.group}: models {one.models}")
        if len({tuple(one.models) for one in self.sides}) != len(self.sides):
            found.append("both groups have one model")
        if self.alarms is not None and self.alarms != self.expected_alarms:
            found.append(f"alarms of groups {self.alarms}, wanted {self.expected_alarms}")
        return found
