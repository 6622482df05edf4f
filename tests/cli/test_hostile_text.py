"""No command passes on a control character that came from outside, whatever it shows."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.commands import PATIENCE_S, SCRIPT, environment
from tests.cli.terminals import HOSTILE, controls, on_a_terminal
from tests.engines.bundles import write_tiny


@dataclass(frozen=True)
class Place:
    """Files with hostile names and contents."""

    bundle: Path
    clip: Path
    table: Path
    settings: Path
    folder: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Place:
    folder = tmp_path_factory.mktemp("hostile") / HOSTILE
    folder.mkdir()
    labels = [HOSTILE.replace("\udcff", ""), "walk", "run"]
    table, settings = folder / "labels.csv", folder / "longtake.toml"
    table.write_text(f'frame,label\n0,"{HOSTILE}"\n7,x\n', "utf-8", "surrogateescape")
    settings.write_text('"\\u001b[31m\\n\\u202e" = "\\u001b[2J"\n', "utf-8")
    film = folder / f"{HOSTILE}.mp4"
    film.write_bytes(clip.read_bytes())
    return Place(write_tiny(folder / "bundle", labels=labels), film, table, settings, folder)


Arguments = Callable[[Place], Sequence[str | Path]]
COMMANDS: dict[str, Arguments] = {
    "an unknown command": lambda p: [HOSTILE],
    "an unknown option": lambda p: ["run", f"--{HOSTILE}"],
    "a wrong number": lambda p: ["run", "x.mp4", "--threads", HOSTILE],
    "bundle check": lambda p: ["bundle", "check", p.bundle],
    "bundle check --json": lambda p: ["bundle", "check", p.bundle, "--json"],
    "bundle check, none there": lambda p: ["bundle", "check", p.folder / HOSTILE],
    "engine verify": lambda p: ["engine", "verify", "--clip", p.folder / HOSTILE],
    "run": lambda p: ["run", p.clip, "--bundle", p.bundle, "--output", p.folder / "out.jsonl"],
    "run, no such file": lambda p: ["run", p.folder / f"{HOSTILE}.avi"],
    "run, wrong labels": lambda p: ["run", p.clip, "--labels", p.table],
    "run, cannot write": lambda p: ["run", p.clip, "--output", p.folder / "no" / HOSTILE],
    "run, no such variable": lambda p: ["run", f"rtsp://${{NONE}}@h/{HOSTILE}"],
    "run, wrong overlay": lambda p: ["run", p.clip, "--overlay", HOSTILE],
    "probe": lambda p: ["probe", p.clip, "--bundle", p.bundle, "--seconds", "1"],
    "probe, no such file": lambda p: ["probe", p.folder / HOSTILE, "--bundle", p.bundle],
    "camera, wrong stream": lambda p: ["camera", p.clip, "--stream", HOSTILE],
    "camera, wrong file": lambda p: ["camera", "--config", p.settings],
    "worker, wrong file": lambda p: ["worker", "--config", p.settings],
    "reset stream": lambda p: ["reset", "stream", HOSTILE],
    "reset partition": lambda p: ["reset", "partition", "0", "--to", HOSTILE, "--group", "a b"],
    "train": lambda p: ["train", p.folder, "--out", p.folder / "out"],
    "broker": lambda p: ["broker", "--data", p.clip],
}


def piped(arguments: Sequence[str | Path]) -> bytes:
    """Run a command, and return all that it wrote to pipes."""
    ended = subprocess.run(
        [SCRIPT, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        timeout=PATIENCE_S,
        check=False,
    )
    return ended.stdout + ended.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_a_pipe_gets_text_and_line_feeds_only(place: Place, name: str) -> None:
    written = piped(COMMANDS[name](place))
    assert written
    assert not controls(written)
    assert b"\nlongtake: forged" not in written
    assert b"a bug in longtake" not in written


@pytest.mark.parametrize(
    "arguments",
    [
        lambda p: ["run", p.clip, "--bundle", p.bundle],  # predictions as JSON
        COMMANDS["run"],
        COMMANDS["run, no such file"],
        COMMANDS["run, wrong overlay"],
        COMMANDS["bundle check"],
        COMMANDS["probe"],
    ],
)
def test_so_does_a_terminal(place: Place, arguments: Arguments) -> None:
    written = on_a_terminal(arguments(place))
    assert written
    assert not controls(written)
    assert b"\n2026-11-30" not in written
