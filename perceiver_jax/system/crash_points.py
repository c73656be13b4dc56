"""Named instants at which a process sends itself a signal, where the environment asks for it: for campaigns of faults.

`PERCEIVER_JAX_CRASH_POINT=NAME[:SIGNAL[:PASS]]`: when the instant NAME comes for the PASS-th time (1 by default), the signal
(SIGKILL by default). Without the variable nothing happens anywhere.
"""

import os
import signal
from collections import Counter

from perceiver_jax.errors import Code, Failure, nearest

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
    """The instant, the signal and the pass that a value of the variable names; raises Failure(CONFIG) for another."""
    name, _, rest = text.partition(":")
    number, _, count = rest.partition(":")
    number = number or "SIGKILL"
    for what, given, known in (("point", name, POINTS), ("signal", number, signal.Signals.__members__)):
        if given not in known:
            hint = nearest(given, known)
            raise Failure(Code.CONFIG, f"{VARIABLE}: unknown {what} {given!r}", expected=", ".join(known), hint=hint)
    if count and not (count.isdecimal() and int(count)):
        raise Failure(Code.CONFIG, f"{VARIABLE}: pass {count!r}", expected="a number from 1 on")
    return name, signal.Signals[number], int(count or 1)
