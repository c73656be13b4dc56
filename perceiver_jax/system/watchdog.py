"""Ends a process that makes no progress: a device that hangs, a worker that is stuck, a file system that does not answer."""

import contextlib
import faulthandler
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator

from perceiver_jax.errors import Code, Failure

TIMES = 20  # the median of its kind, within which a task is not called stuck however long it takes
FIRST_TIMES = 10  # the limit: the same for the first task of a kind, which may compile
REMEMBERED = 50  # tasks of a kind, whose median counts
LOOKS = 10  # within the limit
SAYING_SECONDS = 5.0  # for the message to be written


class Watchdog:
    """Ends the process with exit code 70 when a task takes longer than `seconds` and 20 times the median of its kind.

    The first task of a kind, which may compile, has 10 times `seconds`. The innermost of several tasks counts, from its
    beginning or the end of the last one within it. Time in which the whole process was stopped does not. A thread watches,
    so a library that is stuck without giving up Python's lock is not noticed. `seconds` None: nothing is watched. `end` is
    called with the code and a message, and ends the process.
    """

    def __init__(self, seconds: float | None, end: Callable[[Code, str], object] = lambda code, _: os._exit(code)):
        self._seconds, self._end = seconds, end
        self._took: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self._tasks: list[tuple[str, str, float]] = []  # kind, words, when it last came further by `_awake`
        self._awake = 0.0  # seconds in which the thread could look
        self._over = threading.Event()

    def __enter__(self) -> "Watchdog":
        if self._seconds is not None:
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    @contextlib.contextmanager
    def task(self, kind: str, what: str) -> Iterator[None]:
        """Around a task of some kind; `what` it is, in words."""
        began = time.monotonic()
        self._tasks.append((kind, what, self._awake))
        try:
            yield
        finally:
            self._tasks.pop()
            if self._tasks:
                self._tasks[-1] = *self._tasks[-1][:2], self._awake
            self._took[kind].append(time.monotonic() - began)

    def _watch(self) -> None:
        pause, looked = self._seconds / LOOKS, time.monotonic()
        while not self._over.wait(pause):
            now = time.monotonic()
            self._awake, looked = self._awake + min(now - looked, 2 * pause), now
            stuck = self._stuck()
            if stuck is not None:
                # What cannot be said must not keep it alive: stderr may be on the disk, or to the reader, that is stuck.
                deaf = threading.Timer(SAYING_SECONDS, self._end, (Code.WATCHDOG, str(stuck)))
                deaf.daemon = True
                deaf.start()
                print(f"{_stacks()}{stuck}", file=sys.__stderr__, flush=True)
                self._end(Code.WATCHDOG, str(stuck))

    def _stuck(self) -> Failure | None:
        """What the newest task has come to, if it has taken too long."""
        for kind, what, began in self._tasks[-1:]:
            took, taken = list(self._took[kind]), self._awake - began
            usual, words = FIRST_TIMES / TIMES * self._seconds, "for the first of its kind"
            if took:
                usual = statistics.median(took)
                words = f"where one takes {usual:.3g} s"
            if taken > max(self._seconds, TIMES * usual):
                found = f"{taken:.3g} s, {words}"
                hint = "the same command resumes at the newest checkpoint; above is where each thread was"
                return Failure(Code.WATCHDOG, "no progress", what, found=found, hint=hint)
        return None


def _stacks() -> str:
    """Where each thread is; by a file, since to write from within Python's lock would stop the other threads here."""
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read().decode(errors="replace")
