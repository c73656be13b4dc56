"""Config files and other Python files of a user, and those shipped with the package."""

import contextlib
import importlib.util
import inspect
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from perceiver_jax.errors import Code, Failure, nearest
from perceiver_jax.settings.upgrade import upgraded

CONFIG_SECONDS = 30  # a config file that takes longer counts as one that never ends


def load_config(path: Path, variant: str = "") -> ConfigDict:
    """The ConfigDict that a config file makes, of a variant if one is named.

    Raises Failure(CONFIG), naming the line, for a file that cannot be run, does not end or makes something else.
    """

    def give_up(*_: Any) -> None:
        raise Failure(Code.CONFIG, f"config {path}: did not return within {CONFIG_SECONDS} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, CONFIG_SECONDS)
    try:
        values = call(path, "config", "get_config", variant)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if not isinstance(values, ConfigDict):
        raise Failure(Code.CONFIG, f"config {path}", f"get_config returned {type(values).__name__}, not a ConfigDict")
    return upgraded(values, str(path))


def shipped(name: str) -> Path:
    """A config file of this project: in an installed wheel inside the package, in a clone beside it."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return (inside if inside.is_dir() else package.parent / "configs") / f"{name}.py"


def call(path: Path, what: str, function: str, variant: str = "") -> Any:
    """What a function in a user's Python file returns, given its variant if one is named.

    Raises Failure(CONFIG), naming the line, for a file that cannot be run; `what` says what the file is.
    """
    if not path.is_file():
        state = "is a directory" if path.is_dir() else "does not exist"
        near = nearest(path.name, [file.name for file in path.parent.glob("*.py") if file.is_file()])
        raise Failure(Code.CONFIG, f"{what} {path}: {state}", hint=near and str(path.with_name(near)))
    try:
        spec = importlib.util.spec_from_file_location(f"perceiver_jax_{what}", path)
        module = importlib.util.module_from_spec(spec)
        with _neighbours(path):
            spec.loader.exec_module(module)
            called = getattr(module, function, None)
            if not callable(called):
                raise Failure(Code.CONFIG, f"{what} {path}", f"has no function {function}")
            if variant and not inspect.signature(called).parameters:
                raise Failure(Code.CONFIG, f"{what} {path}", f"has no variants; got {variant!r}")
            return called(*[variant] if variant else [])
    except Failure:
        raise
    except (Exception, SystemExit) as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.absolute()]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        where = f"{what} {path}" + (f" line {line}" if line else "")
        text = f"{type(error).__name__}: {error}".replace(str(path.absolute()), path.name)
        raise Failure(Code.CONFIG, where, text) from error


@contextlib.contextmanager
def _neighbours(path: Path) -> Iterator[None]:
    """Lets a file import those beside it, by their names or as members of its folder."""
    folder = path.absolute().parent
    added = [str(parent) for parent in (folder, folder.parent) if str(parent) not in sys.path]
    sys.path += added
    try:
        yield
    finally:
        for parent in added:
            sys.path.remove(parent)
