"""Runs as a script: becomes another program that ends when the process that started it ends.

    python -I -S tether.py PARENT_PID PROGRAM ARGUMENT...

A death signal (Linux) survives exec, so the program keeps this process's id and needs no keeper.
Set here and not in a `preexec_fn`, which is unsafe where other threads run.
"""

import os
import sys

PR_SET_PDEATHSIG = 1
SIGKILL = 9


def main(parent: int, program: list[str]) -> None:
    """Tie this process to `parent` and turn it into `program`."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
        if os.getppid() != parent:  # it died before the tie was made
            sys.exit(1)
    os.execv(program[0], program)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
