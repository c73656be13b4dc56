"""Arrays by name in a directory of their own, as Orbax writes and reads them; it logs nothing.

JAX and Orbax are imported inside the functions that move arrays, so that a run can be refused before they load.
"""

import contextlib
import gc
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

SETTLE_SECONDS = 0.3  # for the writes that Orbax leaves running when one fails
NO_LIMIT_SECONDS = 10**6  # for a save of many processes: what is stuck the watchdog ends, and who is lost is missed


def write(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes the arrays of one process. Raises OSError for what the disk refuses."""
    import orbax.checkpoint as ocp

    with _quiet(), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer, _refusals(path):
        checkpointer.save(path, args=ocp.args.PyTreeSave(dict(arrays)))


def begin_writing(path: Path, arrays: Mapping[str, Any]) -> Callable[[], None]:
    """Begins to write the arrays of many processes, all of which call this; they may be donated once it returns.

    Orbax copies what devices hold. On CPUs it writes from where the arrays are: JAX gives updates other memory until then.
    What it returns waits for the end, in any thread, in all processes. Both raise OSError as `write` does.
    """
    import orbax.checkpoint as ocp

    options = ocp.AsyncOptions(timeout_secs=NO_LIMIT_SECONDS)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        checkpointer = stack.enter_context(ocp.AsyncCheckpointer(ocp.PyTreeCheckpointHandler(), async_options=options))
        with _refusals(path):
            checkpointer.save(path, args=ocp.args.PyTreeSave(dict(arrays)))
        rest = stack.pop_all()

    def end() -> None:
        with rest, _refusals(path):
            checkpointer.wait_until_finished()

    return end


@contextlib.contextmanager
def reader() -> Iterator[Any]:
    """An Orbax checkpointer that reads."""
    import orbax.checkpoint as ocp

    with _quiet(), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        yield checkpointer


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logs = {name: logging.getLogger(name) for name in ("absl", "asyncio")}
    levels = {name: log.level for name, log in logs.items()}
    hook = sys.unraisablehook
    for log in logs.values():
        log.setLevel(logging.CRITICAL)  # Orbax's threads log a traceback of every error that it raises as well
    sys.unraisablehook = lambda fault: None if "loop is closed" in str(fault.exc_value) else hook(fault)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for name, log in logs.items():
            log.setLevel(levels[name])


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Raises OSError for what the disk refused, which Orbax says in other exceptions' text."""
    try:
        yield
        return
    except TimeoutError as error:  # Orbax's own, of processes that did not come: no refusal, though an OSError to Python
        raise error.__cause__ or RuntimeError(str(error)) from error
    except Exception as error:  # noqa: BLE001 raised below
        number = re.search(r"os_error_code='(\d+)'", str(error))
        refused = error.errno if isinstance(error, OSError) else int(number[1]) if number else None
        fault = error if refused is None else OSError(refused, os.strerror(refused), str(path))
    # Orbax raises the first error while other writes still run: they would come after the removal of their directory, and
    # their futures complain when they are collected.
    time.sleep(SETTLE_SECONDS)
    with warnings.catch_warnings(action="ignore"):
        gc.collect()
    raise fault
