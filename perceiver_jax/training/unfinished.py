"""A step that is being saved, until it has its name or is removed."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from perceiver_jax.system import disk
from perceiver_jax.system.crash_points import crash_point
from perceiver_jax.training.manifest import commit, prune


class Unfinished:
    """A step that is being made; of many processes the first one makes its directory and gives it its name."""

    def __init__(self, directory: Path, step: int, first: bool, num_bytes: int):
        self.directory, self.first, self.num_bytes = directory, first, num_bytes
        self.final, self.path = directory / str(step), directory / f"{disk.TEMPORARY}{step}"
        self._held: int | None = None  # the directory itself, wherever it is moved to, until it gets its name

    @contextlib.contextmanager
    def made(self) -> Iterator[None]:
        """Removes the step where something fails. Raises Failure(WORKDIR) for what the disk refuses."""
        try:
            yield
        except BaseException as error:
            gone = self._gone()
            if self.first:
                shutil.rmtree(self.path, ignore_errors=True)
            with contextlib.suppress(OSError):
                for made_again in (self.directory, self.directory.parent) if gone else ():
                    made_again.rmdir()
            self._let_go()
            refused = gone or error
            if isinstance(refused, OSError):
                what, needed = f"checkpoint {self.final} was not saved", f"about {self.num_bytes:,} bytes"
                raise disk.unusable(what, self.directory, refused, needed) from error
            raise

    def make(self) -> None:
        """Makes the directory."""
        if self.first:
            disk.remove_unfinished(self.directory)
            self.path.mkdir()
            self._held = os.open(self.path, os.O_RDONLY)
            crash_point("after-temporary-directory")

    def finish(self, state_sha256: str, fingerprints: dict[str, str], keep: int) -> None:
        """Makes it a step, then prunes to the newest `keep`."""
        if self.first:
            gone = self._gone()
            if gone:
                raise gone
            self._let_go()
            commit(self.path, self.final, fingerprints, state_sha256)
            crash_point("before-prune")
            prune(self.directory, keep)

    def _gone(self) -> OSError | None:
        """What is wrong where the directory was moved or removed: Orbax makes another, and the run would live on there."""
        if self._held is None or (self.path.exists() and os.path.samestat(os.fstat(self._held), self.path.stat())):
            return None
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))

    def _let_go(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None
