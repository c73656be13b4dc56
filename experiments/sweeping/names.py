"""The directory of each run of a sweep: what it changes, as far as a file name can say it."""

import collections
import hashlib
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.sweeping.axes import CONFIG, Changes
from perceiver_jax.settings.overrides import Override

NAME_BYTES = 255  # of a file's name, on every file system in use


def names_of(settings: Sequence[Changes]) -> list[str]:
    """The name of each run.

    A hash of the changes is added where the name is too long, or is also that of other changes, perhaps on a file system
    that takes capitals for small letters.
    """
    names, owners = list(map(shown, settings)), collections.defaultdict(set)
    for changes, name in zip(settings, names, strict=True):
        owners[folded(name)].add(arguments(changes))
    return [
        with_hash(name, "\n".join(arguments(changes)))
        if len(owners[folded(name)]) > 1 or len(name.encode()) > NAME_BYTES
        else name
        for changes, name in zip(settings, names, strict=True)
    ]


def with_hash(name: str, text: str) -> str:
    """A name of a file with a short hash of a text behind it."""
    digest = "-" + hashlib.sha256(text.encode()).hexdigest()[:10]
    return name.encode()[: NAME_BYTES - len(digest)].decode(errors="ignore") + digest


def folded(name: str) -> str:
    """What names have in common that some file system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


def shown(changes: Changes) -> str:
    """The changes as the name of a file, perhaps too long for one."""
    parts = [f"{name.rpartition('.')[2]}={_value(name, value)}" for name, value in changes.items()]
    return "".join(c if c.isalnum() or c in "=.,-_" else "_" for c in ",".join(parts)) or "base"


def _value(name: str, value: Any) -> Any:
    """A value in a name; of a config file its own name, and its variant."""
    if name != CONFIG:
        return value
    path, _, variant = str(value).partition(":")
    return "_".join(filter(None, (Path(path).stem, variant)))


def arguments(changes: Changes) -> tuple[str, ...]:
    """The flags of a run that make its changes."""
    return tuple(f"--config{'' if name == CONFIG else f'.{name}'}={value!r}" for name, value in changes.items())


def overrides(changes: Changes) -> dict[str, Override]:
    """The fields that one run changes, as the command line would have them."""
    return {name: Override(value, repr(value)) for name, value in changes.items() if name != CONFIG}


def plain(value: Any) -> Any:
    """A value as Python's own types, which is how the command line can give it to a run."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return type(value)(map(plain, value)) if type(value) in (tuple, list) else value
