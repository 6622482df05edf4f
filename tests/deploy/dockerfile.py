"""Parses a Dockerfile into instructions, and .dockerignore into what the builder gets."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SENT = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: its word (RUN, COPY, ...) and its arguments."""

    word: str
    rest: str

    @property
    def commands(self) -> list[list[str]]:
        """The commands of a RUN, joined by &&; our files use no other shell syntax."""
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

    def arguments(self, word: str) -> list[str]:
        """Return the arguments of each instruction with this word."""
        return [step.rest for step in self.steps if step.word == word]

    def stages(self) -> list[list[Step]]:
        """Return the steps of each stage; a stage begins with FROM."""
        stages: list[list[Step]] = []
        for step in self.steps:
            if step.word == "FROM":
                stages.append([])
            stages[-1].append(step)
        return stages

    def copied(self) -> list[str]:
        """Return the sources in the repository that COPY reads."""
        taken = [copy for copy in self.arguments("COPY") if "--from" not in copy]
        return [source for copy in taken for source in copy.split()[:-1]]


def is_sent(source: str) -> bool:
    """Whether .dockerignore includes the path or a folder that contains it."""
    return any(source == sent or source.startswith(f"{sent}/") for sent in SENT)
