"""Stopping on request: a signal asks the run to save and end; a second SIGTERM or SIGINT ends it at once."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from types import FrameType

from perceiver_jax.errors import Code

_NAMED = {
    "SIGTERM": Code.TERMINATED,
    "SIGINT": Code.INTERRUPTED,
    "SIGHUP": Code.HUNG_UP,  # the terminal was closed
    "SIGUSR1": Code.USER_1,  # schedulers warn with these two before a time limit
    "SIGUSR2": Code.USER_2,
}
_CODES = {signal.Signals[name]: code for name, code in _NAMED.items() if hasattr(signal, name)}
STOPS = tuple(_CODES)  # the signals that stop a run, as far as this platform has them
# Warnings come more than once, and another signal follows them: a closed terminal sends SIGHUP from the shell and from the
# kernel, a scheduler's SIGTERM comes at the limit of which it warned. None of these may cost the save that is under way.
_DEMANDS = (signal.SIGTERM, signal.SIGINT)


class StopFlag:
    """A flag that a signal of `STOPS` raises while the context is open; enter it in the main thread, first of all.

    SIGHUP stays ignored where it was, as under nohup.

    Python runs its signal handlers between two bytecodes of the main thread, so not during a compilation that takes a
    minute. A thread therefore reads the signals from the interpreter's wake-up pipe, answers the first one and lets the
    second SIGTERM or SIGINT end the process at any time, without clean-up: nothing unfinished ever has its final name.
    """

    def __init__(self) -> None:
        self._code: Code | None = None

    @property
    def should_stop(self) -> Code | None:
        """The exit code that a signal asked for, or None. To be read between steps and between evaluation batches."""
        return self._code

    def __enter__(self) -> "StopFlag":
        reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)  # the interpreter demands it of a wake-up pipe
        self._thread = threading.Thread(target=self._listen, args=(reader,), name="signals", daemon=True)
        self._thread.start()
        self._old_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, self._handle) for number in STOPS if not _detached(number)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        os.close(self._writer)
        self._thread.join()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._code = self._code or _CODES[signal.Signals(number)]

    def _listen(self, reader: int) -> None:
        """Reads one byte for each signal until the pipe is closed."""
        demanded = False
        with open(reader, "rb", buffering=0) as pipe:
            while byte := pipe.read(1):
                if byte[0] not in _CODES:
                    continue
                number = signal.Signals(byte[0])
                demand = number in _DEMANDS
                if demand and demanded:
                    os._exit(_CODES[number])
                self._code, demanded = self._code or _CODES[number], demanded or demand
                after = "; a second signal ends the run at once" if demand else ""
                line = f"{number.name}: stopping after this step, then saving{after}\n"
                # A closed stderr must not cost the second signal.
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    os.write(sys.__stderr__.fileno(), line.encode())


def _detached(number: signal.Signals) -> bool:
    """Whether whoever started this process has seen to it that a closed terminal does not reach it."""
    return number.name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN


def enter_worker(*ignored: signal.Signals) -> None:
    """Makes a worker process live as long as its parent needs it, and no longer than the parent lives.

    A terminal or a scheduler sends its stop signals to every process, but only the parent can stop in good order, and may
    need its workers until then: they ignore the signals given. A parent that is killed cannot notify its workers, so
    they watch it.
    """
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
