"""Becomes a command, on some cores, that is asked to save and stop when its parent ends: PARENT CORES WORD...

A program of its own, and small: what must be set between fork and exec cannot be set by a parent that has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of Linux's prctl


def main() -> None:
    """Never returns."""
    parent, cores, words = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if cores:
        os.sched_setaffinity(0, map(int, cores.split(",")))
    if sys.platform == "linux":
        # A warning, like a scheduler's: a run saves and stops, however often it comes.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGUSR1))
        if os.getppid() != parent:  # it had ended before
            sys.exit(128 + signal.SIGUSR1)
    os.execvp(words[0], words)


if __name__ == "__main__":
    main()
