"""A process's memory: what it keeps from one step to the next, by glibc's settings at program start, and its peak."""

import os
import platform
import resource
import sys


def keep() -> None:
    """Restarts this program so that it keeps memory for its next step, where glibc can be set so at program start.

    Otherwise a step's temporaries, gigabytes of them, go back to the system and come back as pages to be zeroed: a fifth of
    the time of a training step on a CPU. Large pages, where Linux has them for those that ask, cost fewer page faults.
    """
    asked = settings()
    if asked:
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | asked)


def settings() -> dict[str, str]:
    """The environment by which a process keeps its memory; empty without glibc, or where somebody has set it already."""
    if "GLIBC_TUNABLES" in os.environ or platform.libc_ver()[0] != "glibc":
        return {}
    # Other arenas than the first take large pieces from mmap whatever its limit says, and give them back.
    tunables = {"arena_max": 1, "mmap_max": 0, "trim_threshold": 1 << 40, "hugetlb": 1}
    return {"GLIBC_TUNABLES": ":".join(f"glibc.malloc.{name}={value}" for name, value in tunables.items())}


def peak() -> int:
    """The most bytes of main memory that this process has held at a time."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
