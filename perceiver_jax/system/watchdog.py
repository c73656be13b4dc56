"""The end of a run that has come no further for too long: a hanging device, a stuck disk, a process that others wait for."""

import collections
import contextlib
import faulthandler
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from perceiver_jax.errors import Code, Failure

STALLED_SECONDS = 60.0  # that a step may take at least
FACTOR = 20  # times the median of the steps before, which a step may take
LONG = 60  # times STALLED_SECONDS: for what has no usual time, such as compiling and saving
REMEMBERED = 101  # steps


class Wait(NamedTuple):
    """What a run is at."""

    what: str
    since: float  # by the watchdog's clock
    began: float  # by time.monotonic
    limit: float  # seconds
    is_step: bool


class Watchdog:
    """Watches one loop while its context is open; `end` gets the code and the words with which it ends the process.

    A step may take `seconds`, or 20 times the median of those before, whichever is more; anything else 60 times that.
    """

    def __init__(self, end: Callable[[Code, str], None], seconds: float = STALLED_SECONDS):
        self._end, self._seconds = end, seconds
        self._steps: collections.deque[float] = collections.deque(maxlen=REMEMBERED)
        self._wait: Wait | None = None
        self._awake = 0.0  # seconds: not those in which the whole process was stopped, as by Ctrl-Z
        self._over = threading.Event()

    def __enter__(self) -> "Watchdog":
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def step(self, what: str) -> None:
        """A step begins, and the one before has ended."""
        now, before = time.monotonic(), self._wait
        if before is not None and before.is_step:
            self._steps.append(now - before.began)
        usual = statistics.median(self._steps) if self._steps else 0.0
        self._wait = Wait(what, self._awake, now, max(self._seconds, FACTOR * usual), is_step=True)

    def at(self, what: str) -> None:
        """Something begins that has no usual time, or has come a part further."""
        self._wait = Wait(what, self._awake, time.monotonic(), LONG * self._seconds, is_step=False)

    @contextlib.contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Around something that has no usual time."""
        self.at(what)
        yield
        self._wait = None

    def _watch(self) -> None:
        looked, every = time.monotonic(), self._seconds / 20
        while not self._over.wait(every):
            now = time.monotonic()
            self._awake, looked = self._awake + min(now - looked, 2 * every), now
            wait = self._wait
            if wait is not None and self._awake - wait.since > wait.limit:
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    faulthandler.dump_traceback(sys.__stderr__, all_threads=True)
                hint = "the stacks above show where it stands; the same command resumes from the newest checkpoint"
                failure = Failure(Code.WATCHDOG, f"{wait.what} has not ended in {wait.limit:.0f} s", hint=hint)
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    print(failure, file=sys.stderr)
                self._end(Code.WATCHDOG, str(failure))
