"""The state of training on the disk and back: `arrays` moves the arrays, `manifest` makes a step of what it wrote.

JAX is imported inside the functions that move arrays, so that a run can be refused before it loads.
"""

import hashlib
import json
import math
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import perceiver_jax
from perceiver_jax.errors import Code, Failure
from perceiver_jax.system.crash_points import crash_point
from perceiver_jax.training import arrays
from perceiver_jax.training.manifest import Manifest, steps
from perceiver_jax.training.unfinished import Unfinished

ARRAYS = "arrays"  # Orbax's directory in a step
BYTES_BESIDE = 1_200  # of a checkpoint beside each array's own: its entries in the manifest and in Orbax's files


def fingerprints(settings: Mapping[str, str], data: str, devices: str) -> dict[str, str]:
    """What a run depends on, saved with each step: on resume settings and data must match, code and numerics may differ.

    `settings` are those that decide what is learned, by name, `data` identifies the prepared data, and `devices` describes
    what of them decides bits.
    """
    import jax
    import jaxlib

    return {
        "config": settings_sha256(settings),
        "data": data,
        "code": code_version(),
        "numerics": f"jax {jax.__version__}, jaxlib {jaxlib.__version__}, {devices}",
    }


def code_version() -> str:
    """This version of the package, to the byte: its number and the beginning of its sources' SHA-256."""
    sources = hashlib.sha256()
    root = Path(perceiver_jax.__file__).parent
    for path in sorted(root.rglob("*.py")):
        sources.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return f"{perceiver_jax.__version__}, sources {sources.hexdigest()[:16]}"


def settings_sha256(settings: Mapping[str, str]) -> str:
    """The SHA-256 of settings by name."""
    return hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode()).hexdigest()


def compare(manifest: Manifest, current: dict[str, str], configs: Collection[str] = ()) -> None:
    """Raises Failure where the step was made with another config (CONFIG) or data (DATA); notes other differences.

    `configs` are the SHA-256 of settings that are as good as the current ones.
    """
    saved = dict(manifest.fingerprints)
    if saved["config"] in configs:
        saved["config"] = current["config"]
    for name, code, words in (("config", Code.CONFIG, "with other settings"), ("data", Code.DATA, "on other data")):
        if saved[name] != current[name]:
            what, where = f"checkpoint {manifest.step} was trained {words}", f"the fingerprint of {name} differs"
            raise Failure(code, what, where, found=saved[name], expected=current[name], hint="a new --workdir")
    changed = [name for name in ("code", "numerics") if saved[name] != current[name]]
    notes = [f"{name}: {saved[name]} -> {current[name]}" for name in changed]
    if notes:
        what = f"changed since checkpoint {manifest.step}, so results may differ in bits"
        print(f"note: {what}: {'; '.join(notes)}", file=sys.stderr)


def check_room(directory: Path, state: Any, saves: int, keep: int) -> None:
    """Raises Failure(WORKDIR) where a disk cannot hold the checkpoints of `saves` saves to come.

    `state` is a pytree of arrays or jax.ShapeDtypeStruct. A save removes the oldest of more than `keep` only after it has
    written the newest.
    """
    import jax

    parts, there = jax.tree.leaves(state), len(steps(directory))
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in parts) + BYTES_BESIDE * len(parts)
    more, fewer = (min(saves, max(1, kept + 1 - there)) for kept in (keep, keep - 1))
    usage = shutil.disk_usage(directory)
    if usage.free >= more * size or not usage.total:  # some network file systems report nothing
        return
    what, found = "no room for the checkpoints of this run", f"{usage.free:,} bytes free"
    expected = f"{more * size:,} bytes"
    expected += f": {more} x {size:,}, as the newest is written before the oldest of {keep} is removed" if more > 1 else ""
    lower = f", --config.train.keep_checkpoints={keep - 1}" if keep > 1 and fewer * size <= usage.free else ""
    hint = f"free some space{lower}, or another --workdir"
    raise Failure(Code.WORKDIR, what, str(directory), found=found, expected=expected, hint=hint)


def save(directory: Path, step: int, state: Any, fingerprints: dict[str, str], keep: int) -> None:
    """Saves a pytree of arrays as `directory/step`, waits until it is on the disk, then prunes to the newest `keep`.

    A step that exists is left as it is. Raises Failure(WORKDIR) where the disk refuses; then nothing of the step remains
    and the older ones are intact.
    """
    begin(directory, step, state, fingerprints, keep)()


def begin(directory: Path, step: int, state: Any, fingerprints: dict[str, str], keep: int) -> Callable[[], None]:
    """Begins a save: from here on the state may change. What it returns waits, in any thread, until the step has its name.

    In a run of many processes all of them call both. The first one gives the name, and holds the whole state until then;
    the others have waited when all arrays are written. Both raise as `save` does.
    """
    import jax

    if (directory / str(step)).exists():
        return lambda: None
    unfinished = Unfinished(directory, step, jax.process_index() == 0, sum(leaf.nbytes for leaf in leaves(state).values()))
    if jax.process_count() == 1:
        copied = leaves(jax.tree.map(np.array, state))  # on CPUs too: updates cannot reuse memory that is seen elsewhere

        def end() -> None:
            with unfinished.made():
                unfinished.make()
                arrays.write(unfinished.path / ARRAYS, copied)
                unfinished.finish(state_sha256(copied), fingerprints, keep)

        return end

    with unfinished.made():
        unfinished.make()
        whole = {name: array for name, array in _gathered(state) if unfinished.first}
        end_writing = arrays.begin_writing(unfinished.path / ARRAYS, leaves(state))

    def end_for_all() -> None:
        with unfinished.made():
            end_writing()
            unfinished.finish(state_sha256(whole), fingerprints, keep)

    return end_for_all


def restore(directory: Path, step: int, target: Any) -> Any:
    """The state saved at `step`, bit for bit, in the structure and with the shardings of `target`.

    Orbax does not notice flipped bits: restore only what `manifest.verify` or `manifest.newest_valid` has passed.
    `target` is a pytree of jax.ShapeDtypeStruct or arrays; leaves without a sharding go to the first device.
    Raises Failure(CHECKPOINT) with the arrays that differ where the step holds another state.
    """
    import jax
    import orbax.checkpoint as ocp

    default = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    wanted = {
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None) or default)
        for name, leaf in leaves(target).items()
    }
    with arrays.reader() as checkpointer:
        path = directory / str(step) / ARRAYS
        _check_leaves(step, checkpointer.metadata(path).item_metadata.tree, wanted)
        crash_point("mid-restore")
        args = ocp.args.PyTreeRestore(item=wanted, restore_args=ocp.checkpoint_utils.construct_restore_args(wanted))
        restored = checkpointer.restore(path, args=args)
    return jax.tree.unflatten(jax.tree.structure(target), [restored[name] for name in wanted])


def state_sha256(state: Any) -> str:
    """The SHA-256 of every array of a state: its path, type, shape and bytes. Equal for two runs that did the same."""
    digest = hashlib.sha256()
    for name, array in _gathered(state):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _gathered(state: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The leaves of a state, whole in every process: all of them must ask."""
    import jax
    from jax.experimental import multihost_utils

    for name, leaf in sorted(leaves(state).items()):
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            leaf = multihost_utils.process_allgather(leaf, tiled=True)
        yield name, np.asarray(leaf)


def leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by their path: what Orbax gets, so that no container type is written into a checkpoint."""
    import jax

    pairs = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in pairs}


def _check_leaves(step: int, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    def shown(leaf: Any) -> str:
        return "absent" if leaf is None else f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"

    rows = {name: (shown(stored.get(name)), shown(wanted.get(name))) for name in sorted({**stored, **wanted})}
    wrong = [f"    {name}: {old} -> {new}" for name, (old, new) in rows.items() if old != new]
    if wrong:
        more = [f"    and {len(wrong) - 10} more"] if len(wrong) > 10 else []
        what = f"checkpoint {step} holds another model or optimiser"
        where = f"{len(wrong)} of {len(rows)} arrays differ"
        found = "\n".join(["stored -> expected", *wrong[:10], *more])
        hint = "the config that the checkpoint was made with, or a new --workdir"
        raise Failure(Code.CHECKPOINT, what, where, found=found, hint=hint)
