"""What is done to a process before its command runs, so that a fault comes from inside it: `put([NAME, ARGUMENTS...])`.

python -m scripts.faults.layers JSON MODULE ARGUMENTS...: the command of a module under the layer that JSON names.
"""

import itertools
import json
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from perceiver_jax.system.disk import TEMPORARY
from scripts.faults.refusals import Refusals
from scripts.faults.volatile import Volatile


def refusals(folder: str, first: int, count: int | None, number: int) -> None:
    """`Refusals` for the life of the process."""
    _stay(Refusals(Path(folder), first, count, number), folder)


def power_loss(folder: str, image: str, call: int, seed: int) -> None:
    """Kills the process at a call of `Volatile`, with what the disk then has in `image`."""
    _stay(Volatile(Path(folder), Path(image), call, seed, lambda: os.kill(os.getpid(), signal.SIGKILL)), folder)


def _stay(layer: Refusals | Volatile, folder: str) -> None:
    """Enters a layer for the life of the process; how many calls there were is left in FOLDER.calls at its end."""
    import atexit

    layer.__enter__()
    atexit.register(lambda: Path(f"{folder}.calls").write_text(str(layer.calls)))


def killed_within_save(checkpoints: str, step: int) -> None:
    """Kills the process as soon as an array of a step is on its way to the disk."""

    def watch() -> None:
        arrays = Path(checkpoints, f"{TEMPORARY}{step}")
        while not any(path.is_file() for path in arrays.rglob("*")):
            time.sleep(0.0002)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def nonfinite(place: str, step: int, value: float) -> None:
    """Writes a number into one place of update `step`: input, loss, gradient, optimiser or ema."""
    _update(step, lambda programs, real: _poisoned_step(programs, real, place, value))


def flipped(step: int, device: int, bit: int) -> None:
    """Changes one bit of the parameters that one device holds, in their largest array, after update `step`."""
    _update(step, lambda programs, real: _flipped_step(real(programs), device, bit))


def _update(step: int, make: Callable[[Any, Callable[..., Any]], Callable[..., Any]]) -> None:
    """Has update `step` be what `make` makes of the programs and the function that makes their usual update."""
    import functools

    from perceiver_jax.runs.programs import Programs

    real = Programs.__dict__["step"].func

    def changed(programs: Programs) -> Callable[..., Any]:
        usual, other = real(programs), make(programs, real)
        return lambda state, batch: (other if int(state.step) + 1 == step else usual)(state, batch)

    Programs.step = functools.cached_property(changed)
    Programs.step.__set_name__(Programs, "step")


def _flipped_step(usual: Callable[..., Any], device: int, bit: int) -> Callable[..., Any]:
    """The update, with one bit flipped of what one device holds afterwards."""
    import dataclasses

    import jax

    def step(state: Any, batch: Any) -> Any:
        state, sums = usual(state, batch)
        leaves, structure = jax.tree.flatten(state.params)
        largest = max(range(len(leaves)), key=lambda i: leaves[i].size)
        leaves[largest] = with_flipped(leaves[largest], device, bit)
        return dataclasses.replace(state, params=jax.tree.unflatten(structure, leaves)), sums

    return step


def with_flipped(array: Any, device: int, bit: int) -> Any:
    """An array of several devices with one bit flipped of what one of them holds."""
    import jax
    import numpy as np

    held = [np.array(shard.data) for shard in array.addressable_shards]
    flat = held[device].reshape(-1).view(np.uint8)
    flat[bit // 8 % flat.size] ^= 1 << bit % 8
    parts = [jax.device_put(part, shard.device) for part, shard in zip(held, array.addressable_shards, strict=True)]
    return jax.make_array_from_single_device_arrays(array.shape, array.sharding, parts)


def _poisoned_step(programs: Any, real: Callable[..., Any], place: str, value: float) -> Callable[..., Any]:
    """The update with the number in its place."""
    import dataclasses

    import jax
    import jax.numpy as jnp

    def with_one(tree: Any) -> Any:
        """The tree with the number in the first element of its first array of fractions that has several."""
        leaves, structure = jax.tree.flatten(tree)
        chosen = next(i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.ndim)
        flat = leaves[chosen].ravel().at[0].set(value).reshape(leaves[chosen].shape)
        leaves[chosen] = jax.device_put(flat, leaves[chosen].sharding)
        return jax.tree.unflatten(structure, leaves)

    def loss(variables: Any, batch: Any) -> Any:
        mean, (sums, rest) = type(programs)._loss(programs, variables, batch)
        if place == "loss":
            return mean * value, (sums | {"loss": sums["loss"] * value}, rest)
        first = jax.tree.leaves(variables.params)[0].sum()
        nought = first - jax.lax.stop_gradient(first)
        return mean + jnp.sqrt(nought * nought), (sums, rest)  # adds 0, whose gradient is infinity times 0

    def step(state: Any, batch: Any) -> Any:
        if place == "input":
            return usual(state, batch | {"inputs": with_one(batch["inputs"])})
        if place in ("loss", "gradient"):
            return changed(state, batch)
        state, sums = usual(state, batch)
        part = "opt_state" if place == "optimiser" else "ema"
        return dataclasses.replace(state, **{part: with_one(getattr(state, part))}), sums

    usual = real(programs)
    programs._loss, changed = loss, None
    changed = real(programs)
    del programs._loss
    return step


def inside(kind: str, step: int) -> None:
    """Has something of `scripts.faults.ends` happen in the process once `step` has been given to the devices."""
    from perceiver_jax.training.meter import Meter
    from scripts.faults import ends

    add = Meter.add

    def faulty(meter: Meter, done: int, sums: Any) -> None:
        if done == step:
            getattr(ends, kind)()
        add(meter, done, sums)

    Meter.add = faulty


def clock(seconds: float, readings: int = 0) -> None:
    """Adds `seconds` to the time of day that Python reads, after the first `readings` readings."""
    real, read = time.time, itertools.count()
    time.time = lambda: real() + (seconds if next(read) >= readings else 0.0)


def slow(seconds: float) -> None:
    """Delays each flush to the disk by so long."""
    real = os.fsync

    def late(file: int) -> None:
        time.sleep(seconds)
        real(file)

    os.fsync = late


def put(layer: Sequence[Any]) -> None:
    """Puts a layer, the name of a function here and its arguments, under this process; nothing for an empty one."""
    if layer:
        name, *arguments = layer
        globals()[name](*arguments)


if __name__ == "__main__":
    put(json.loads(sys.argv[1]))
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
