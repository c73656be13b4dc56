"""Saving while training goes on: a step costs the copy of the state, which threads write and hash."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perceiver_jax.training import checkpoint
from perceiver_jax.training.meter import check_finite
from perceiver_jax.training.replicas import check_replicas


class Saving:
    """Saves of one run, at most one of them at work; `compares` whether what several devices hold is compared first."""

    def __init__(self, directory: Path, fingerprints: dict[str, str], keep: int, compares: bool):
        self._asked, self._compares = (directory, fingerprints, keep), compares
        self._thread: threading.Thread | None = None
        self._fault: BaseException | None = None
        self.step: int | None = None  # of the newest save

    @property
    def begun(self) -> bool:
        """Whether nobody has waited yet for the newest save."""
        return self._thread is not None

    @property
    def ended(self) -> bool:
        """Whether nobody has waited yet for the newest save, and it is at its end."""
        return self._thread is not None and not self._thread.is_alive()

    def begin(self, step: int, state: Any) -> None:
        """Saves a state as `checkpoint.save` does; returns once the state may change, with the last save at its end.

        Raises Failure(NUMERICS) for one that is not finite or of which devices hold different bits, and what `wait` raises.
        """
        self.wait()
        if self._compares:
            check_replicas(state, step)
        check_finite(state, step)
        self.step = step
        directory, fingerprints, keep = self._asked
        end = checkpoint.begin(directory, step, state, fingerprints, keep)
        self._thread = threading.Thread(target=self._try, args=(end,), name=f"saving step {step}", daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Waits for the save that is at work, so long at most. Raises what it did: Failure(WORKDIR) for a disk's refusal."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(seconds)
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def _try(self, end: Callable[[], None]) -> None:
        try:
            end()
        except BaseException as fault:  # noqa: BLE001 whatever it is, it is raised by `wait`
            self._fault = fault
