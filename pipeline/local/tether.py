"""A script that replaces itself by another program, which ends when its parent process ends.

    python -I -S tether.py PARENT_PID PROGRAM ARGUMENT...

The parent-death signal of Linux survives exec, so that the program has this process's id, and no
supervising process is needed. It is set here and not in a `preexec_fn`, because that is unsafe in a
process with other threads.
"""

import os
import sys

PR_SET_PDEATHSIG = 1
SIGKILL = 9


def main(parent: int, program: list[str]) -> None:
    """Bind the life of this process to `parent`, and replace it by `program`."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
        if os.getppid() != parent:  # the parent died before the signal was set
            sys.exit(1)
    os.execv(program[0], program)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
