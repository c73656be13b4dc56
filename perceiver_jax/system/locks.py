"""Locks on directories: a file that one process holds and signs with its name."""

import contextlib
import datetime
import errno
import io
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from perceiver_jax.errors import Failure

NAME_SECONDS = 0.7  # in which the owner of a lock has written its name, also on a busy machine


@contextlib.contextmanager
def held(path: Path, where: str, in_use: Callable[[str], Failure], shared: bool = False) -> Iterator[None]:
    """Holds the lock file at `path` until the block ends; a lock ends with its process too.

    A `shared` one is held by any number of processes, but not while one has it for itself. Raises `in_use(owner)` where
    another process holds it, and OSError where the file cannot be written.
    """
    import fcntl  # Windows has none: the rest of the package can be imported there

    # Opening the lock for writing is also the only true test of write access: mode bits say nothing to root.
    with open(path, "a+b", buffering=0) as lock:
        try:
            # A POSIX lock: it ends with its process even if a child of that process lives on, and works over NFS.
            fcntl.lockf(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise in_use(_owner(lock)) from None
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            warning = "no locks on this file system; make sure that only one process uses it"
            print(f"warning: {where}: {warning}", file=sys.stderr)
        else:
            if not shared:
                lock.truncate(0)
                now = datetime.datetime.now(datetime.UTC)
                owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": now.isoformat()}
                lock.write(f"{json.dumps(owner, indent=2)}\n".encode())
        yield


def _owner(lock: io.FileIO) -> str:
    """Who holds a lock, by the name in its file.

    An owner that won it a moment ago is still writing: until then the file is empty, or names one before it.
    """
    deadline = time.monotonic() + NAME_SECONDS
    while True:
        time.sleep(0.1)
        lock.seek(0)
        with contextlib.suppress(ValueError, KeyError, TypeError, OverflowError):
            owner = json.loads(lock.read())
            since = datetime.datetime.fromisoformat(owner["since"])
            if owner["host"] != socket.gethostname() or _is_alive(owner["pid"]):
                today = since.date() == datetime.datetime.now(datetime.UTC).date()
                return f"pid {owner['pid']} on {owner['host']} since {since:{'%H:%M' if today else '%Y-%m-%d %H:%M'} UTC}"
        if time.monotonic() > deadline:
            return "another process"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
