"""The entry point of every command: flags, the config they name, and the end: one message, one exit code."""

import ast
import contextlib
import importlib.util
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from perceiver_jax.errors import Code, Failure, Stopped
from perceiver_jax.settings import config as config_lib
from perceiver_jax.settings import faults, files

_DEBUG = flags.DEFINE_bool("debug", False, "Show the traceback of an error.")


def define_config() -> None:
    """Adds the flags `--config FILE.py[:variant]`, overridden by `--config.section.field=value`, and `--tiny`."""
    flags.DEFINE_string("config", None, "Config file, with a variant after a colon; --config.NAME=VALUE overrides a field.")
    flags.DEFINE_bool("tiny", False, "Shrink the config until it runs in seconds.")


def config(changes: Mapping[str, Any] | None = None) -> config_lib.Config:
    """The config that the flags name, overridden, then with `changes` by dotted name, checked; raises Failure(CONFIG)."""
    path, _, variant = require("config").partition(":")
    values = files.load_config(Path(path), variant)
    for name, value in {**_overrides, **(changes or {})}.items():
        _override(values, name, value)
    return config_lib.parse(values, shrink=flags.FLAGS["tiny"].value)


def overrides() -> dict[str, Any]:
    """What `--config.NAME=VALUE` on the command line changes."""
    return dict(_overrides)


def require(name: str) -> str:
    """The value of a flag that this command cannot do without; raises Failure(CONFIG)."""
    value = flags.FLAGS[name].value
    if value is None:
        raise Failure(Code.CONFIG, f"--{name} is missing")
    return value


def run(main: Callable[[], None] | Callable[[list[Path]], None], takes_files: bool = False) -> None:
    """Parses the flags, calls `main`, with the files beside them if it takes any, and exits with its exit code."""
    sys.exit(int(_outcome(main, takes_files)))


def _outcome(main: Callable, takes_files: bool) -> Code:
    try:
        _check_platform()
        if {"--help", "-h"} & set(sys.argv):
            _help()
        else:
            files = _parse_flags(sys.argv)
            if files and not takes_files:
                raise Failure(Code.CONFIG, f"unexpected argument {files[0]!r}", hint="every setting is a flag: --name=value")
            main(*[[Path(file) for file in files]] if takes_files else [])
        if sys.stdout is not None:  # closed by whoever launched us
            sys.stdout.flush()
        return Code.DONE
    except Stopped as stopped:
        _say(stopped)
        return stopped.code
    except KeyboardInterrupt:
        return Code.INTERRUPTED
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Code.DONE
    except Exception as error:  # noqa: BLE001 every end has a message
        failure = error if isinstance(error, Failure) else _as_failure(error)
        if "--debug" in sys.argv:
            _say("".join(traceback.format_exception(error)))
        _say(failure)
        return failure.code


def _say(end: object) -> None:
    """Prints how the program ends; a terminal that was closed must not cost the exit code."""
    with contextlib.suppress(OSError, ValueError):
        print(end, file=sys.stderr)


def _check_platform() -> None:
    """Raises Failure(CONFIG) where the system has no POSIX locks."""
    if importlib.util.find_spec("fcntl") is None:
        hint = "on Windows use WSL, the Windows Subsystem for Linux"
        raise Failure(
            Code.CONFIG, f"platform {sys.platform}", found="no POSIX locks: Linux and macOS are supported", hint=hint
        )


def _as_failure(error: Exception) -> Failure:
    """What an unexpected exception means to a user; its traceback goes to a file."""
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error) or "bad_alloc" in str(error):
        return Failure(Code.MEMORY, "out of memory", found=str(error).splitlines()[0] if str(error) else "",
                       hint='a smaller data.batch_size, more optim.accumulation_steps, or model.remat="layer"')  # fmt: skip
    with tempfile.NamedTemporaryFile("w", prefix="perceiver_jax-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    return Failure(Code.FAULT, f"{type(error).__name__}", where=str(error).strip().partition("\n")[0],
                   hint=f"this is a bug in perceiver_jax; please report it with {file.name}")  # fmt: skip


def _help() -> None:
    """Prints what the program that was launched is for, and its flags."""
    program = sys.modules["__main__"]
    print(f"{(program.__doc__ or '').strip()}\n")
    for module in (program, sys.modules[__name__]):
        for flag in flags.FLAGS.get_flags_for_module(module.__name__):
            print(f"  --{flag.name}: {flag.help}")


def _parse_flags(argv: list[str]) -> list[str]:
    """Gives the flags to absl and keeps overrides, as (dotted name, value), for `config`; returns what is neither."""
    words, rest = iter(argv), []
    for word in words:
        name, has_value, text = word.partition("=")
        if name.lstrip("-").startswith("config.") and name.startswith("-"):
            name = name.lstrip("-").removeprefix("config.")
            text = text if has_value else next(words, None)
            if text is None or (not has_value and text.startswith("--")):
                raise Failure(Code.CONFIG, f"--config.{name}: no value")
            if _overrides.setdefault(name, _value(text)) != _value(text):
                raise Failure(Code.CONFIG, f"--config.{name}: given twice, {_overrides[name]!r} and {text}")
        else:
            rest.append(word)
    try:
        unused = flags.FLAGS(rest)[1:]
    except flags.Error as error:
        raise Failure(Code.CONFIG, str(error).replace(" ?", "?")) from error
    if _overrides and "config" not in flags.FLAGS:
        raise Failure(Code.CONFIG, f"--config.{next(iter(_overrides))}: this command takes no config")
    return unused


_overrides: dict[str, Any] = {}


def _value(text: str) -> Any:
    """A Python literal, or the text itself: `8`, `(28.0, 28.0)`, `None`, `{"kind": "constant"}`, `paper`, `20 epochs`."""
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return text


def _override(values: ConfigDict, name: str, value: Any) -> None:
    *parents, leaf = name.split(".")
    section: Any = values
    for i, part in enumerate(parents):
        if part not in section:
            raise faults.unknown_key(name, faults.known_keys(values.to_dict()))
        section = section[part]
        if not isinstance(section, ConfigDict):
            raise Failure(Code.CONFIG, f"--config.{name}: {'.'.join(parents[: i + 1])} is not a section but {section!r}")
    if leaf not in section and len(section):  # what is in an empty one is by the streams' names
        raise faults.unknown_key(name, faults.known_keys(values.to_dict()))
    if leaf in section and isinstance(section[leaf], ConfigDict) and not isinstance(value, dict | None):
        raise Failure(Code.CONFIG, f"--config.{name}: is a section", hint=f"--config.{name}.FIELD=VALUE")
    if not _is_named(value):
        raise Failure(Code.CONFIG, f"--config.{name}: expected names without dots as keys, got {value!r}")
    with section.unlocked(), section.ignore_type():
        section[leaf] = ConfigDict(value) if isinstance(value, dict) else value


def _is_named(value: Any) -> bool:
    """Whether all keys of a dictionary and of those in it can be a ConfigDict's."""
    if not isinstance(value, dict):
        return True
    return all(isinstance(key, str) and "." not in key and _is_named(inner) for key, inner in value.items())
