"""Whose an unfinished folder is: one process has it for itself, or the parts of a preparation share it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from perceiver_jax.data.preparation import shard
from perceiver_jax.data.preparation.parts import LOCK, Part
from perceiver_jax.errors import Code, Failure
from perceiver_jax.system import disk, locks


@contextlib.contextmanager
def claimed(folder: Path, part: Part | None = None) -> Iterator[None]:
    """Makes the folder, locks it, and removes what unfinished writes left; reports a disk that refuses.

    Parts have a lock each, and remove only what is their own: others may be at work. Without one the folder is locked whole.
    """

    def in_use(owner: str) -> Failure:
        found, hint = ", ".join(_parts_at_work(folder)) or owner, "wait until it has ended"
        return Failure(Code.WORKDIR, f"{folder} is in use by another process", found=found, hint=hint)

    def part_in_use(owner: str) -> Failure:
        return Failure(Code.WORKDIR, f"part {part} is being prepared by another process", f"{folder}", found=owner)

    with contextlib.ExitStack() as stack:
        try:
            (folder / shard.RECORDS).mkdir(parents=True, exist_ok=True)
            stack.enter_context(locks.held(folder / LOCK, f"{folder}", in_use, shared=part is not None))
            if part is not None and folder.exists():  # or it was finished, and renamed, by now
                stack.enter_context(locks.held(folder / part.lock, f"{folder}, part {part}", part_in_use))
            for directory in filter(Path.exists, (folder, folder / shard.RECORDS)):
                disk.remove_unfinished(directory, part.mark if part is not None else "")
            yield
        except OSError as error:
            hint = "free some space, or another --data_dir"
            raise Failure(Code.WORKDIR, f"cannot write to {folder}", found=disk.reason(error), hint=hint) from None


def remove_locks(folder: Path) -> None:
    """Removes the files of all locks; those who hold one keep it."""
    for path in folder.glob(f"{LOCK}*"):
        path.unlink()


def abandon(folder: Path) -> None:
    """Removes a folder that came into being beside the finished data set; one that holds anything stays."""
    with contextlib.suppress(OSError):
        (folder / shard.RECORDS).rmdir()
        remove_locks(folder)
        folder.rmdir()


def _parts_at_work(folder: Path) -> Iterator[str]:
    """The parts that are being prepared, with the process of each."""
    for path in sorted(folder.glob(f"{LOCK}-*")):
        try:
            with locks.held(path, f"{folder}", lambda owner: Failure(Code.WORKDIR, owner)):
                pass
        except Failure as failure:
            yield f"part {path.name.removeprefix(f'{LOCK}-').replace('-of-', '/')}: {failure.what}"
