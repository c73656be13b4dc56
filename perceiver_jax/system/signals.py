"""Stopping on request: the first SIGTERM or SIGINT asks the run to save and end, the second one ends it at once."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from types import FrameType

from perceiver_jax.errors import Code

_CODES = {signal.SIGTERM: Code.TERMINATED, signal.SIGINT: Code.INTERRUPTED}


class StopFlag:
    """A flag that SIGTERM or SIGINT raises while the context is open; enter it in the main thread, first of all.

    Python runs its signal handlers between two bytecodes of the main thread, so not during a compilation that takes a
    minute. A thread therefore reads the signals from the interpreter's wake-up pipe, answers the first one and lets the
    second one end the process at any time, without clean-up: nothing unfinished ever has its final name.
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
        self._old = {number: signal.signal(number, self._handle) for number in _CODES}
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
        asked = False
        with open(reader, "rb", buffering=0) as pipe:
            while byte := pipe.read(1):
                if byte[0] not in _CODES:
                    continue
                code = _CODES[signal.Signals(byte[0])]
                if asked:
                    os._exit(code)
                asked, self._code = True, self._code or code
                name = signal.Signals(byte[0]).name
                line = f"{name}: stopping after this step, then saving; a second signal ends the run at once\n"
                # A closed stderr must not cost the second signal.
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    os.write(sys.__stderr__.fileno(), line.encode())


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
