"""The watch that the processes of one run keep over each other, so that one that ends or is lost ends all.

Left alone, JAX has a process wait for minutes after another one has failed, and for ever while one is stuck.
"""

import contextlib
import ctypes
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection
from typing import NamedTuple, NoReturn

from perceiver_jax.errors import Code, Failure, printable
from perceiver_jax.system.signals import StopFlag
from perceiver_jax.system.store import Store

HEARD_SECONDS = 3.0  # for the others to hear of an end, before process 0 takes the store with it
POLL_SECONDS = 0.2  # until a signal is passed on
PULSES = 6  # in the time after which a process that sends none counts as lost
DOUBTED_PULSES = 3  # where a computation of all has failed already
HINT = "look at that process's log and host; the same commands resume"


class News(NamedTuple):
    """What one process tells all."""

    kind: str  # "stop", a signal that came to it; "end", its own; "over", that of the watch
    code: int
    process: int
    host: str
    text: str


class Watch:
    """The watch of one process, until it is `over`.

    `lost_seconds` is the silence after which a process counts as lost; `asked` is called with the code of a signal that
    came to any of them.
    """

    def __init__(
        self, store: Store, index: int, count: int, stop: StopFlag, lost_seconds: float, asked: Callable[[Code], None]
    ):
        self._store, self._index, self._count, self._stop = store, index, count, stop
        self._lost_seconds, self._pulse, self._asked = lost_seconds, lost_seconds / PULSES, asked
        self._over, self._doubts, self._code = threading.Event(), False, None
        self._seen: dict[str, tuple[str, float]] = {}  # the last that each has shown, and since when
        self._looked = time.monotonic()
        self._on_abort = ctypes.CFUNCTYPE(None, ctypes.c_int)(self._aborted)
        _libc().signal(signal.SIGABRT, self._on_abort)  # Python's own handlers do not run in an abort
        self._threads = [
            threading.Thread(target=work, name=f"watch: {work.__name__}", daemon=True) for work in (self._show, self._hear)
        ]
        for thread in self._threads:
            thread.start()

    def over(self) -> None:
        """Ends the watch, once all processes have come to their end."""
        if self._index == 0:
            self._tell("over", Code.DONE, "")
        for thread in self._threads:  # one that Python's end finds inside of JAX would crash
            thread.join()
        _libc().signal(signal.SIGABRT, ctypes.c_void_p(int(signal.SIG_DFL)))

    def doubt(self) -> None:
        """Waits for news of a process that is lost, since a computation of all has failed; such news end this process."""
        self._doubts = True
        time.sleep((DOUBTED_PULSES + 2) * self._pulse)

    def end(self, code: Code, text: str) -> NoReturn:
        """Ends this process, and all others with it: they say what happened, and exit with the same code."""
        self._code = code  # whatever ends this process first: process 0, for one, which takes the store with it
        self._tell("end", code, text)
        self._exit(code)

    def _tell(self, kind: str, code: Code, text: str) -> None:
        text = printable("; ".join(line.strip() for line in text.splitlines()), 2000)
        news = json.dumps(News(kind, int(code), self._index, socket.gethostname(), text))
        with contextlib.suppress(Exception):  # where process 0 is gone all know
            next(n for n in itertools.count() if self._store.set(f"news/{n}", news))

    def _hear(self) -> None:
        """Listens to the news."""
        number = 0
        while not self._over.is_set():
            text = self._store.wait(f"news/{number}", self._pulse)
            if text is not None:
                number += 1
                self._answer(News(*json.loads(text)))
            elif self._store.silence > self._lost_seconds:
                self._store.wait(f"alive/{self._index}", self._pulse)  # this process itself may have been stopped
                if self._store.silence > self._lost_seconds:
                    self._say(
                        Failure(Code.WATCHDOG, f"process 0 has not answered for {self._store.silence:.0f} s", hint=HINT)
                    )
                    self._exit(Code.WATCHDOG)

    def _answer(self, news: News) -> None:
        if news.kind == "over":
            self._over.set()
        elif news.kind == "stop":
            self._asked(Code(news.code))
        elif news.process != self._index:
            with contextlib.suppress(Exception):
                self._store.set(f"heard/{self._index}", "")
            who = f"process {news.process} on {news.host}"
            self._say(Failure(Code(news.code), f"{who} has ended the run", found=news.text))
            self._exit(Code(news.code), {news.process})

    def _show(self) -> None:
        """Shows the others that this process lives, and passes on a signal; process 0 looks for those that do not."""
        beat, due, passed_on = 0, 0.0, False
        while not self._over.wait(POLL_SECONDS):
            code = self._stop.should_stop
            if code is not None and not passed_on:
                self._tell("stop", code, "")
                passed_on = True
            if time.monotonic() >= due:
                beat, due = beat + 1, time.monotonic() + self._pulse
                with contextlib.suppress(Exception):  # `_hear` notices a silence
                    self._store.renew(f"alive/{self._index}", f"{beat} {os.getpid()} {socket.gethostname()}")
            if self._index == 0:
                with contextlib.suppress(RuntimeError):
                    self._look()

    def _look(self) -> None:
        """Ends the run where a process has shown nothing for too long."""
        now, limit = time.monotonic(), DOUBTED_PULSES * self._pulse if self._doubts else self._lost_seconds
        was_stopped, self._looked = now - self._looked > self._pulse, now  # this process itself, and perhaps all of them
        for key, text in self._store.listing("alive").items():
            before, since = self._seen.get(key, ("", now))
            self._seen[key] = text, since if text == before and not was_stopped else now
        lost = {key: (text, now - since) for key, (text, since) in self._seen.items() if now - since > limit}
        if lost and not self._over.is_set():
            key, (text, silence) = next(iter(lost.items()))
            _, pid, host = text.split(" ", 2)
            more = f", nor have {len(lost) - 1} others" if len(lost) > 1 else ""
            what = f"process {key} on {host} (pid {pid}) has not answered for {silence:.0f} s{more}"
            self._say(Failure(Code.WATCHDOG, what, hint=HINT))
            self._tell("end", Code.WATCHDOG, what)
            self._exit(Code.WATCHDOG, {int(key) for key in lost})

    def _say(self, failure: Failure) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.write(sys.__stderr__.fileno(), f"{failure}\n".encode(errors="replace"))

    def _exit(self, code: Code, deaf: Collection[int] = ()) -> NoReturn:
        """Ends this process without JAX's clean-up, which waits for the others; process 0 once all but some have heard."""
        self._code = code
        if self._index == 0:
            deadline, missing = time.monotonic() + HEARD_SECONDS, self._count - len({0, *deaf})
            with contextlib.suppress(Exception):
                while time.monotonic() < deadline and len(self._store.listing("heard")) < missing:
                    time.sleep(POLL_SECONDS / 4)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(int(code))

    def _aborted(self, number: int) -> None:
        """Ends this process where XLA does so by SIGABRT, in a thread of its own: its coordination service is gone."""
        del number
        if self._code is None:
            where = "" if self._index == 0 else "process 0 is gone, or has lost this one"
            self._say(Failure(Code.WATCHDOG, "JAX has ended this process (SIGABRT)", where, hint=HINT))
        os._exit(int(Code.WATCHDOG if self._code is None else self._code))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
