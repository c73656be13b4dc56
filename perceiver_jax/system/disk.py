"""How this program writes: whole files, whole directories, or nothing; and what it says when the disk refuses."""

import errno
import hashlib
import os
import shutil
import sys
from pathlib import Path

from perceiver_jax.errors import Code, Failure

TEMPORARY = ".tmp-"  # how the names of unfinished things begin; the next claim removes them


def write_atomically(path: Path, content: bytes, mark: str = "") -> None:
    """Replaces the file at `path` in one step that survives power loss. Raises OSError; then the old file is intact.

    `mark` begins the temporary name, where several processes may write the file.
    """
    temporary = path.with_name(f"{TEMPORARY}{mark}{path.name}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Waits until the file or directory at `path` is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, read piece by piece. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_unfinished(directory: Path, mark: str = "") -> None:
    """Removes what writes that did not end left in `directory`, those of one `mark` or all; says so in one line."""
    left = sorted(entry for entry in directory.iterdir() if entry.name.startswith(TEMPORARY + mark))
    for entry in left:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if left:
        print(f"removed unfinished writes: {', '.join(map(str, left))}", file=sys.stderr)


def unusable(what: str, path: Path, error: OSError, needed: str = "") -> Failure:
    """The failure for an OSError at `path`; a full disk is reported with what is free there and what was `needed`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = f"{shutil.disk_usage(_existing(path)).free:,} bytes free"
        hint = "free some space, or another --workdir"
        return Failure(Code.WORKDIR, what, reason(error), found=free, expected=needed, hint=hint)
    if error.errno == errno.ENOTDIR:
        return Failure(Code.WORKDIR, what, f"its parent {_existing(path)} is a file")
    return Failure(Code.WORKDIR, what, "is a file" if error.errno == errno.EEXIST else reason(error))


def reason(error: Exception) -> str:
    """What an error says, in lower case and without its number."""
    return os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)


def _existing(path: Path) -> Path:
    """The path itself or the nearest of its parents that exists."""
    return next(p for p in (path, *path.parents) if os.path.lexists(p))
