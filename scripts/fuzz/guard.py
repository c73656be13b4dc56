"""What a reader may not do, whatever it reads: write outside its folder, load pickles, start programs, call out."""

import os
import pickle
import sys
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = {  # events of Python's audit by which of their arguments are written to
    **dict.fromkeys(
        ("os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "os.chown", "os.utime", "os.chflags"), (0,)
    ),
    **dict.fromkeys(("os.rename", "shutil.move", "os.link"), (0, 1)),
    "os.symlink": (1,),
    **dict.fromkeys(("shutil.rmtree", "shutil.unpack_archive", "tempfile.mkstemp", "tempfile.mkdtemp"), (0,)),
}
_NEVER = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "socket.connect", "pickle.find_class")


class Guard:
    """Watches this process from now on; `seen` is what it did within `folder`'s time, in words, since it was last emptied.

    What libraries in C do by themselves is not seen.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None  # None: nothing is watched
        self.seen: list[str] = []
        sys.addaudithook(self._hear)
        pickle.load, pickle.loads, pickle.Unpickler = self._noted(pickle.load), self._noted(pickle.loads), _Unpickler
        _Unpickler.note = self._note

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event in _NEVER:
            self._note(f"{event} {str(arguments)[:100]}")
        elif event == "open":
            path, mode, flags = arguments
            writes = any(letter in mode for letter in "wax+") if mode else flags & _WRITES
            if writes and isinstance(path, str | bytes):
                self._check(event, path)
        elif event in _PATHS:
            for place in _PATHS[event]:
                if isinstance(arguments[place], str | bytes | os.PathLike):
                    self._check(event, arguments[place])

    def _check(self, event: str, path: Any) -> None:
        real = os.path.realpath(os.fsdecode(path))
        if real != os.devnull and not Path(real).is_relative_to(os.path.realpath(self.folder)):
            self._note(f"wrote outside its folder: {event} {real}")

    def _noted(self, load: Any) -> Any:
        def loading(*arguments: Any, **options: Any) -> Any:
            self._note("a pickle was loaded")
            return load(*arguments, **options)

        return loading

    def _note(self, words: str) -> None:
        if self.folder is not None:
            self.seen.append(words)


class _Unpickler(pickle.Unpickler):
    """One that says so."""

    note: Any

    def load(self) -> Any:
        type(self).note("a pickle was loaded")
        return super().load()
