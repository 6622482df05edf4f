"""A Dockerfile as its instructions, and what of the tree is sent to its builder."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SENT = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: RUN, COPY, ... and what follows the word."""

    word: str
    rest: str

    @property
    def commands(self) -> list[list[str]]:
        """Of a RUN: plain commands joined by &&, the only thing of a shell that we use."""
        commands: list[list[str]] = [[]]
        for word in shlex.split(self.rest):
            if word == "&&":
                commands.append([])
            else:
                commands[-1].append(word)
        return commands


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """The steps of all stages, in order."""

    text: str
    steps: tuple[Step, ...]

    @classmethod
    def read(cls, name: str) -> "Dockerfile":
        text = (DEPLOY / name).read_text()
        bare = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
        parts = (line.partition(" ") for line in bare.splitlines() if line.strip())
        return cls(text, tuple(Step(word, rest) for word, _, rest in parts))

    def told(self, word: str) -> list[str]:
        """What follows each instruction of a kind."""
        return [step.rest for step in self.steps if step.word == word]

    def stages(self) -> list[list[Step]]:
        """The steps from each FROM on."""
        stages: list[list[Step]] = []
        for step in self.steps:
            if step.word == "FROM":
                stages.append([])
            stages[-1].append(step)
        return stages

    def copied(self) -> list[str]:
        """What COPY takes from the tree."""
        taken = [copy for copy in self.told("COPY") if "--from" not in copy]
        return [source for copy in taken for source in copy.split()[:-1]]


def is_sent(source: str) -> bool:
    """Whether .dockerignore lets it, or a folder that it is in, through."""
    return any(source == sent or source.startswith(f"{sent}/") for sent in SENT)
