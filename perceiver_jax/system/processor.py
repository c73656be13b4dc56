"""The processor that a program runs on."""

import os


def num_cores() -> int:
    """How many cores this process may use; macOS knows only how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
