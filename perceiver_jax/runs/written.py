"""How the settings of a past run differ from those of the config file that its command names."""

import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from perceiver_jax.errors import Failure
from perceiver_jax.report.page.facts import Change
from perceiver_jax.settings import overrides
from perceiver_jax.settings.config import Config, dump, parse
from perceiver_jax.settings.files import load_config

ABSENT = "(none)"  # in place of a setting that one side does not have


class Words(NamedTuple):
    """What the words of a command say of the run's config."""

    file: str  # "" where none is named
    variant: str
    changed: Mapping[str, str]  # by dotted name: the flag's text
    is_tiny: bool


class Differences(NamedTuple):
    """The settings that differ, and the file with which they were compared, or why they could not be."""

    words: str
    changes: list[Change]


def differences(config: Config, command: Sequence[str], workdir: Path) -> Differences:
    """How a config differs from the file named in its command, as that file is now; the file is run as in training.

    A file inside the workdir is not run: what comes with a workdir from elsewhere is not trusted.
    """
    words = read_words(command)
    if not words.file:
        return Differences("The recorded command names no config file.", _by_command(config, words))
    named = words.file + (f":{words.variant}" if words.variant else "")
    path = _found(words.file, command)
    if path is None or path.resolve().is_relative_to(workdir.resolve()):
        why = "is not here" if path is None else "lies in the workdir, and is not run"
        return Differences(f"{named} {why}; what its command changed:", _by_command(config, words))
    try:
        quiet = io.StringIO()  # what the file says was for the launch
        with contextlib.redirect_stderr(quiet), contextlib.redirect_stdout(quiet):
            base = settings(parse(load_config(path, words.variant)))
    except Failure as failure:
        what = ": ".join(filter(None, (failure.what, failure.where)))
        return Differences(f"{named} cannot be read now ({what}); what its command changed:", _by_command(config, words))
    now = settings(config)
    changes = [
        Change(name, base.get(name, ABSENT), now.get(name, ABSENT), _cause(name, words))
        for name in {**base, **now}
        if base.get(name, ABSENT) != now.get(name, ABSENT)
    ]
    return Differences(f"As in {named}" + (", but for:" if changes else "; every setting is the file's."), changes)


def settings(config: Config) -> dict[str, str]:
    """Every setting of a config: its JSON by its dotted name."""
    return {name: json.dumps(value, ensure_ascii=False) for name, value in _flat(dump(config))}


def read_words(command: Sequence[str]) -> Words:
    """What a recorded command says of the config: the file, and what its flags change."""
    file, changed, is_tiny = "", {}, False
    words = iter(command[1:])
    for word in words:
        name, has_value, text = word.partition("=")
        flag = name.lstrip("-") if name.startswith("-") else ""
        if flag == "config" or flag.startswith("config."):
            text = text if has_value else next(words, "")
            if flag == "config":
                file = text
            else:
                changed[flag.removeprefix("config.")] = text
        elif flag in ("tiny", "notiny"):
            is_tiny = flag == "tiny" and text.lower() not in ("false", "0", "f", "no", "n")
    path, _, variant = file.partition(":")
    return Words(path, variant, changed, is_tiny)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, ".".join(filter(None, (name, key))))
    else:
        yield name, value


def _found(file: str, command: Sequence[str]) -> Path | None:
    """The file in the project that the command's program, ROOT/experiments/train.py, is part of, or here."""
    given = Path(os.path.expanduser(file))
    roots = [*(Path(program).parent.parent for program in command[:1]), Path()]
    return next((path for path in (root / given for root in roots) if os.path.isfile(path)), None)  # of any length


def _by_command(config: Config, words: Words) -> list[Change]:
    """What the flags alone tell."""
    now = settings(config)
    given = {name: json.dumps(overrides.read(text).value, default=str) for name, text in words.changed.items()}
    return [Change(name, "?", now.get(name, text), "the command") for name, text in given.items()]


def _cause(name: str, words: Words) -> str:
    if any(name == given or name.startswith(f"{given}.") for given in words.changed):
        return "the command"
    return "--tiny" if words.is_tiny else "the file has changed since, or a flag file"
