"""A disk that loses power: it keeps what was flushed, and of the rest whatever it likes."""

import os
import random
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS = ("fsync", "rename", "mkdir")


class Volatile:
    """Follows what calls of `CALLS` on `folder` leave on the disk, from when this begins, with all there is flushed.

    Before call number `last`, what the disk then has is written as `image`, and `then` is called. What Orbax's library
    flushes by itself counts as not flushed. A file that was not has its beginning, zeros or nothing; of two entries of a
    directory one may have come to the disk and the other not: no file system promises an order without a flush.
    """

    def __init__(self, folder: Path, image: Path, last: int, seed: int, then: Callable[[], None]):
        self._folder, self._image, self._last, self._then = folder, image, last, then
        self._rng, self._lock = random.Random(seed), threading.RLock()
        self.calls = 0  # so far
        self._files: dict[int, bytes] = {}  # what was flushed, by inode
        self._listings: dict[int, dict[str, int]] = {}

    def __enter__(self) -> "Volatile":
        for path in [self._folder, *self._folder.rglob("*")]:
            self._flushed(path)
        self._real = {name: getattr(os, name) for name in CALLS}
        for name, real in self._real.items():
            setattr(os, name, self._followed(real))
        return self

    def __exit__(self, *_: object) -> None:
        for name, real in self._real.items():
            setattr(os, name, real)

    def _followed(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(target: Any, *arguments: Any, **named: Any) -> Any:
            path = Path(os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else target)
            if not path.is_relative_to(self._folder):
                return real(target, *arguments, **named)
            with self._lock:
                self.calls += 1
                if self.calls == self._last:
                    self._lose()
                    self._then()
                result = real(target, *arguments, **named)
                if isinstance(target, int):
                    self._flushed(path)
            return result

        return call

    def _flushed(self, path: Path) -> None:
        inode = path.stat().st_ino
        if path.is_dir():
            self._listings[inode] = _listing(path)
            self._files.pop(inode, None)  # inodes are used again
        elif path.is_file():
            self._files[inode] = path.read_bytes()
            self._listings.pop(inode, None)

    def _lose(self) -> None:
        """Makes the image."""
        self._now: dict[int, Path] = {}
        for path in [self._folder, *self._folder.rglob("*")]:
            try:
                self._now[path.stat().st_ino] = path
            except OSError:  # removed meanwhile, by another thread
                continue
        self._write(self._folder.stat().st_ino, self._image)

    def _write(self, inode: int, target: Path) -> None:
        """What is left of an inode, under its name in the image."""
        path = self._now.get(inode)
        if not (path.is_dir() if path else inode in self._listings):
            return self._write_file(inode, path, target)
        before, after = self._listings.get(inode, {}), _listing(path) if path else {}
        target.mkdir()
        for name in sorted({*before, *after}):
            kept = before.get(name) if self._rng.random() < 0.5 else after.get(name)
            if kept is not None:
                self._write(kept, target / name)

    def _write_file(self, inode: int, path: Path | None, target: Path) -> None:
        flushed = self._files.get(inode, b"")
        try:
            written = path.read_bytes() if path else flushed
        except OSError:
            written = flushed
        grown = written.startswith(flushed)  # appended to: what was flushed stays
        cut = self._rng.randint(len(flushed) if grown else 0, len(written))
        zeros = written[:cut] + bytes(len(written) - cut)
        target.write_bytes(self._rng.choice((flushed, flushed, written, written[:cut], zeros)))


def _listing(path: Path) -> dict[str, int]:
    """The inodes of files and directories in a directory."""
    try:
        with os.scandir(path) as entries:
            return {entry.name: entry.inode() for entry in entries if stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
                    in (stat.S_IFREG, stat.S_IFDIR)}  # fmt: skip
    except OSError:  # removed meanwhile
        return {}
