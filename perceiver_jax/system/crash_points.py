"""Named instants at which a process sends itself a signal, where the environment asks for it: for campaigns of faults.

`PERCEIVER_JAX_CRASH_POINT=NAME[:SIGNAL[:PASS]]`: when the instant NAME comes for the PASS-th time (1 by default), the signal
(SIGKILL by default). Without the variable nothing happens anywhere.
"""

import os
import signal
from collections import Counter

VARIABLE = "PERCEIVER_JAX_CRASH_POINT"
POINTS = (
    "after-claim",  # of the workdir
    "mid-restore",
    "data-wait",
    "mid-compile",
    "after-step",
    "after-log",
    "mid-evaluation",
    "after-temporary-directory",  # from here on of a save
    "before-manifest",
    "after-manifest",
    "before-rename",
    "after-rename",
    "before-prune",
    "mid-prune",
    "before-result",  # of the run
    "before-lock-release",
)
_passes: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """One of `POINTS` has come."""
    if VARIABLE in os.environ:
        _passes[name] += 1
        wanted, number, count = asked(os.environ[VARIABLE])
        if (wanted, count) == (name, _passes[name]):
            os.kill(os.getpid(), number)


def asked(text: str) -> tuple[str, signal.Signals, int]:
    """The instant, the signal and the pass that a value of the variable names; raises KeyError or ValueError for another."""
    name, _, rest = text.partition(":")
    number, _, count = rest.partition(":")
    if name not in POINTS:
        raise ValueError(f"{VARIABLE}: unknown point {name!r}, expected one of {', '.join(POINTS)}")
    return name, signal.Signals[number or "SIGKILL"], int(count or 1)
