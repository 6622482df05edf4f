"""Shell completion: each shell gets its script, and the command answers what may come next."""

import shutil
import subprocess

import pytest

from tests.cli.commands import SCRIPT, Longtake, environment

VARIABLE = "_LONGTAKE_COMPLETE"


@pytest.mark.parametrize(
    ("shell", "registers"),
    [
        ("bash", "complete -o default -F _longtake_completion longtake"),
        ("zsh", "compdef _longtake_completion longtake"),
        ("fish", "complete --command longtake"),
    ],
)
def test_each_shell_gets_its_script(longtake: Longtake, shell: str, registers: str) -> None:
    ended = longtake(**{VARIABLE: f"source_{shell}"})
    assert ended.code == 0
    assert registers in ended.out


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("longtake topics ", {"create", "check", "take", "grow"}),
        ("longtake wo", {"worker"}),
        ("longtake worker --del", {"--delivery"}),
    ],
)
def test_bash_completes_commands_and_options(line: str, offered: set[str]) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this machine")
    words = f"COMP_WORDS=({line.replace('longtake', str(SCRIPT), 1)} '')"
    last = len(line.split(" ")) - 1
    script = f"""source <({VARIABLE}=source_bash {SCRIPT}); {words}; COMP_CWORD={last}
        _longtake_completion {SCRIPT}; printf '%s\\n' "${{COMPREPLY[@]}}" """
    said = subprocess.run(
        [bash, "-c", script], capture_output=True, env=environment(), text=True, check=True
    )
    assert set(said.stdout.split()) == offered


@pytest.mark.parametrize(("line", "code"), [("longtake ", 0), ("longtake worker x", 1)])
def test_fish_is_told_by_the_exit_code_whether_there_is_anything_to_offer(
    longtake: Longtake, line: str, code: int
) -> None:
    asked = {VARIABLE: "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "is-args"}
    assert longtake(**asked, _TYPER_COMPLETE_ARGS=line).code == code
