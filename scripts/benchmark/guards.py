"""What it costs to be safe: checkpoints copied, hashed, written, verified and read, what a step is watched by, a restart."""

import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.benchmark.process import Built
from scripts.benchmark.shapes import Shape

PRINTS = dict.fromkeys(("config", "data", "code", "numerics"), "")
STEPS = 1_000  # whose guards one step of `watch` is


@dataclasses.dataclass(frozen=True)
class Guard:
    """One of `KINDS`, for the state of a shape's model: parameters and LAMB's two moments."""

    name: str
    shape: Shape

    def __call__(self) -> Built:
        """Itself, with a directory of its own."""
        import jax
        import jax.numpy as jnp

        from scripts.benchmark import programs

        params = programs.program("forward", "ours", self.shape).arguments()[0]
        state = {"params": params, "moments": [jax.tree.map(jnp.zeros_like, params) for _ in range(2)]}
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        folder = Path(tempfile.mkdtemp(prefix="perceiver_jax-guards-"))
        return Built(KINDS[self.name](state, folder), {"state_bytes": size}, lambda: shutil.rmtree(folder))


def _copy(state: Any, folder: Path) -> Callable[[], Any]:
    """What training waits for of a save: the check for numbers that are not finite, and the copy."""
    from perceiver_jax.training import checkpoint
    from perceiver_jax.training.meter import check_finite

    def step() -> None:
        check_finite(state, 1)
        checkpoint.begin(folder, 1, state, PRINTS, 1)  # the rest, which it returns, is `save`

    return step


def _save(state: Any, folder: Path) -> Callable[[], Any]:
    """The whole save: hashed, written, flushed, committed, the one before removed."""
    from perceiver_jax.training.saving import Saving

    saving = Saving(folder, PRINTS, 1, compares=True)

    def step() -> None:
        saving.begin((saving.step or 0) + 1, state)
        saving.wait()

    return step


def _hash(state: Any, folder: Path) -> Callable[[], Any]:
    """SHA-256 of the state's bytes."""
    import jax
    import numpy as np

    arrays = [np.asarray(leaf).reshape(-1).view(np.uint8) for leaf in jax.tree.leaves(state)]

    def step() -> None:
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(array)
        digest.digest()

    return step


def _restore(state: Any, folder: Path) -> Callable[[], Any]:
    """A checkpoint read, not verified."""
    from perceiver_jax.training import checkpoint

    checkpoint.save(folder, 1, state, PRINTS, 1)
    return lambda: checkpoint.restore(folder, 1, state)


def _verified(state: Any, folder: Path) -> Callable[[], Any]:
    """The same, verified first, as every restore is."""
    from perceiver_jax.training import manifest

    restore = _restore(state, folder)

    def step() -> None:
        manifest.verify(folder, 1)
        restore()

    return step


def _watch(state: Any, folder: Path) -> Callable[[], Any]:
    """What is done around `STEPS` steps of training that are not there: watchdog, stop flag, finite losses."""
    import numpy as np
    import optax

    from perceiver_jax.system.signals import StopFlag
    from perceiver_jax.system.watchdog import Watchdog
    from perceiver_jax.training.meter import Meter
    from perceiver_jax.training.saving import Saving

    sums = {"loss": np.float32(1), "count": np.float32(8), "grad_norm": np.float32(1)}
    saving, stop = Saving(folder, PRINTS, 1, compares=True), StopFlag()

    def step() -> None:
        with Watchdog(600.0) as watchdog:
            meter = Meter(8, optax.constant_schedule(1.0), 0.0, watchdog)
            for number in range(STEPS):
                with watchdog.task("loop", f"step {number + 1:,}"):
                    assert not saving.ended
                    assert stop.should_stop is None
                    with meter.waiting():
                        pass
                    meter.add(number + 1, sums)

    return step


KINDS = {"copy": _copy, "save": _save, "sha256": _hash, "restore": _restore, "verified_restore": _verified, "watch": _watch}


@dataclasses.dataclass(frozen=True)
class Restart:
    """The tiny run of the campaign of faults, resumed from nothing to the step after: imports, restore, warm cache."""

    name: str = "restart"

    def __call__(self) -> Built:
        """Itself, once it has run and been stopped."""
        import signal

        from scripts.faults.processes import FreshLauncher
        from scripts.faults.tiny import TINY

        folder = Path(tempfile.mkdtemp(prefix="perceiver_jax-restart-"))
        (folder / "logs").mkdir()
        launcher = FreshLauncher(folder / "logs")
        launcher.__enter__()
        settings = [*TINY, "--config.train.duration=100000 steps", "--config.train.checkpoint_every=100000 steps"]

        def step() -> None:
            run = launcher.train(folder / "run", *settings).until("\nstep ")
            run.kill(signal.SIGTERM)

        step()
        return Built(step, {}, lambda: shutil.rmtree(folder))
