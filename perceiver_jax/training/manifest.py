"""What a saved step is: the files that its manifest names, byte for byte. Nothing here needs JAX.

A step has its final name or does not exist: it is written under a temporary name, hashed, flushed and then renamed.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic

from perceiver_jax.errors import Code, Failure
from perceiver_jax.section import Section
from perceiver_jax.system import disk
from perceiver_jax.system.crash_points import crash_point

FORMAT = 1  # of the manifest and of what is beside it
MANIFEST = "manifest.json"
MANIFEST_BYTES = 1_000_000  # ours are far smaller; a larger one is not read
REJECTED = ".rejected"  # how the name of a step that was set aside ends


class File(Section):
    """One file of a step."""

    size: int  # bytes
    sha256: str


class Manifest(Section):
    """What a step consists of; a step is valid where its files are exactly these."""

    format: int
    step: int
    files: dict[str, File]  # by name relative to the step
    fingerprints: dict[str, str]  # of config, data, code and numerics
    state_sha256: str


class _Damaged(Exception):
    """A step that is not what was saved: the file, and what differs."""


def steps(directory: Path) -> list[int]:
    """The steps saved in `directory`, valid or not, rising; a name that is not a plain decimal number is not a step."""
    names = [entry.name for entry in directory.iterdir() if entry.is_dir()] if directory.is_dir() else []
    return sorted(int(name) for name in names if re.fullmatch("0|[1-9][0-9]*", name))


def verify(directory: Path, step: int, contents: bool = True) -> Manifest:
    """The manifest of a step whose every byte is as saved; without `contents` only names and sizes are compared.

    Raises Failure(CHECKPOINT), naming the steps there are or the file that is damaged.
    """
    if step not in steps(directory):
        there = f"steps {', '.join(map(str, steps(directory)))}" if steps(directory) else "no step"
        raise Failure(Code.CHECKPOINT, f"no checkpoint at {directory / str(step)}", found=f"{there} in {directory}")
    try:
        return _verified(directory / str(step), step, contents)
    except _Damaged as fault:
        hint = "another --step, or omit it for the newest valid checkpoint"
        raise Failure(Code.CHECKPOINT, f"step {step} rejected", str(fault), hint=hint) from None


def read(directory: Path, step: int) -> Manifest:
    """The manifest of a step that has been verified."""
    return _read_manifest(directory / str(step) / MANIFEST, step)


def newest_fingerprints(directory: Path) -> dict[str, str]:
    """What the newest step with an intact manifest was made of; empty where there is none. No other file is read."""
    for step in reversed(steps(directory)):
        with contextlib.suppress(_Damaged, OSError, Failure):  # Failure: of a newer format
            return dict(read(directory, step).fingerprints)
    return {}


def chosen_step(directory: Path, asked: int | None) -> int:
    """The step asked for, verified, or the newest valid one; raises Failure(CHECKPOINT) where there is none."""
    if asked is not None:
        verify(directory, asked)
        return asked
    newest = newest_valid(directory, set_aside=False)
    if newest is None:
        raise Failure(Code.CHECKPOINT, "no checkpoint", str(directory), found="nothing saved yet")
    return newest[0]


def newest_valid(directory: Path, set_aside: bool) -> tuple[int, Manifest] | None:
    """The newest step whose manifest verifies, with its manifest; None where nothing was ever saved.

    Newer ones that do not are named on stderr and, with `set_aside` (for the trainer, who holds the lock), renamed.
    Raises Failure(CHECKPOINT) where steps exist and none is valid: a run never restarts from 0 unasked.
    """
    faults: dict[int, _Damaged] = {}
    for step in reversed(steps(directory)):
        try:
            manifest = _verified(directory / str(step), step)
        except _Damaged as fault:
            if (directory / str(step)).exists():  # otherwise a running trainer pruned it while we read
                faults[step] = fault
            continue
        for bad, fault in faults.items():
            print(f"warning: step {bad} rejected: {fault}; using {step}", file=sys.stderr)
            if set_aside:
                _set_aside(directory / str(bad))
        return step, manifest
    found = [f"step {step}: {fault}" for step, fault in faults.items()]
    found += sorted(str(path) for path in directory.glob(f"*{REJECTED}*"))
    if not found:
        return None
    hint = "restore a step from a copy; to start over, use a new --workdir"
    raise Failure(Code.CHECKPOINT, "no valid checkpoint", f"in {directory}", found="; ".join(found), hint=hint)


def commit(unfinished: Path, final: Path, fingerprints: dict[str, str], state_sha256: str) -> None:
    """Makes the files in `unfinished` the step `final`: hashes, writes the manifest, waits for the disk, renames."""
    files = {}
    for name in _files(unfinished):
        disk.sync(unfinished / name)
        files[name] = _measure(unfinished / name)
    step = int(final.name)
    body = Manifest(format=FORMAT, step=step, files=files, fingerprints=fingerprints, state_sha256=state_sha256)
    crash_point("before-manifest")
    disk.write_atomically(unfinished / MANIFEST, _text(body.model_dump()))
    crash_point("after-manifest")
    for parent, _, _ in os.walk(unfinished):
        disk.sync(Path(parent))
    crash_point("before-rename")
    os.rename(unfinished, final)
    crash_point("after-rename")
    disk.sync(final.parent)


def prune(directory: Path, keep: int) -> None:
    """Removes all but the newest `keep` steps. A name goes first: half a step is never mistaken for a damaged one."""
    for step in steps(directory)[:-keep]:
        doomed = directory / f"{disk.TEMPORARY}pruned-{step}"
        os.rename(directory / str(step), doomed)
        crash_point("mid-prune")
        shutil.rmtree(doomed)
        disk.sync(directory)  # or a finished run, which nobody cleans up, might have it again after a loss of power


def _set_aside(step: Path) -> None:
    name, n = step.name + REJECTED, 1
    while step.with_name(name).exists():
        name, n = f"{step.name}{REJECTED}-{n}", n + 1
    os.rename(step, step.with_name(name))


def _verified(root: Path, step: int, contents: bool = True) -> Manifest:
    """The manifest of the step at `root`; raises _Damaged, or Failure(CHECKPOINT) for a newer format."""
    name = MANIFEST
    try:
        if root.is_symlink():
            raise _Damaged("is a symbolic link")
        manifest = _read_manifest(root / MANIFEST, step)
        there = set(_files(root)) - {MANIFEST}
        differ = sorted(there ^ set(manifest.files))
        if differ:
            raise _Damaged(f"{differ[0]}: {'is not in the manifest' if differ[0] in there else 'is missing'}")
        # Sizes of all before the contents of any: a copy that was cut short is found at once.
        for name, file in manifest.files.items():
            size = (root / name).lstat().st_size
            if size != file.size:
                raise _Damaged(f"{name}: has {size:,} bytes, expected {file.size:,}")
        for name, file in manifest.files.items() if contents else ():
            if _measure(root / name) != file:
                raise _Damaged(f"{name}: sha256 differs")
    except OSError as error:
        raise _Damaged(f"{name}: {(error.strerror or str(error)).lower()}") from error
    return manifest


def _read_manifest(path: Path, step: int) -> Manifest:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > MANIFEST_BYTES:
        raise _Damaged(f"{MANIFEST}: is not a file of at most {MANIFEST_BYTES:,} bytes")
    content = path.read_bytes()
    try:
        record = json.loads(content)
        body = {key: value for key, value in record.items() if key != "sha256"}
        # The exact text is demanded, so spaces, repeated keys and appended bytes are found like any other change.
        intact = _text(body) == content
    except (ValueError, AttributeError, RecursionError):
        intact = False
    if not intact:
        raise _Damaged(f"{MANIFEST}: is not as it was written")
    if isinstance(body.get("format"), int) and body["format"] > FORMAT:
        what, found = f"checkpoint {path.parent}", f"written by format {body['format']}"
        hint = "the newer perceiver_jax that wrote it"
        raise Failure(Code.CHECKPOINT, what, found, expected=f"format {FORMAT} or older", hint=hint)
    try:
        manifest = Manifest.model_validate(body)
    except pydantic.ValidationError as error:
        raise _Damaged(f"{MANIFEST}: {error.errors()[0]['msg'].lower()}") from error
    if manifest.step != step:
        raise _Damaged(f"{MANIFEST}: is of step {manifest.step}")
    return manifest


def _text(body: dict[str, Any]) -> bytes:
    """The bytes of a manifest, which end with the SHA-256 of all before."""
    digest = hashlib.sha256(json.dumps(body, indent=1, sort_keys=True).encode()).hexdigest()
    return (json.dumps(body | {"sha256": digest}, indent=1, sort_keys=True) + "\n").encode()


def _files(root: Path) -> Iterator[str]:
    """The names of all files below `root`; raises _Damaged for anything that is neither a file nor a directory."""
    for parent, directories, names in os.walk(root):
        for path in (Path(parent, name) for name in directories + names):
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                yield str(path.relative_to(root))
            elif not stat.S_ISDIR(mode):
                raise _Damaged(f"{path.relative_to(root)}: is neither a file nor a directory")


def _measure(path: Path) -> File:
    return File(size=path.stat().st_size, sha256=disk.sha256(path))
