"""The entry point of every command: flags, the config they name, and the end: one message, one exit code."""

import contextlib
import importlib.util
import itertools
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from absl import flags

from perceiver_jax.errors import Code, Failure, Stopped
from perceiver_jax.section import local_path
from perceiver_jax.settings import config as config_lib
from perceiver_jax.settings import overrides
from perceiver_jax.settings.overrides import Override
from perceiver_jax.system import processes


class _PathParser(flags.ArgumentParser):
    """A `local_path`: a shell leaves the `~` in `--workdir=~/runs` alone."""

    syntactic_help = "a path"

    def parse(self, argument: str) -> str:
        return local_path(argument)

    def flag_type(self) -> str:
        return "path"


PATH = _PathParser()  # `flags.DEFINE(command.PATH, NAME, None, HELP)`
_DEBUG = flags.DEFINE_bool("debug", False, "Show the traceback of an error.")


def define_config() -> None:
    """Adds the flags `--config FILE.py[:variant]`, overridden by `--config.section.field=value`, and `--tiny`."""
    flags.DEFINE(PATH, "config", None, "Config file, with a variant after a colon; --config.NAME=VALUE overrides a field.")
    flags.DEFINE_bool("tiny", False, "Shrink the config until it runs in seconds.")


def config() -> config_lib.Config:
    """The config that the flags name, overridden, checked; raises Failure(CONFIG).

    What is overridden stays as it is given where `--tiny` shrinks the rest.
    """
    return overrides.config_of(require("config"), _overrides, flags.FLAGS["tiny"].value)


def given_overrides() -> dict[str, Override]:
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
    code, text = _outcome(main, takes_files)
    processes.current().leave(code, text)
    sys.exit(int(code))


def _outcome(main: Callable, takes_files: bool) -> tuple[Code, str]:
    """How the program ends, and what was said of it."""
    try:
        _check_platform()
        if {"--help", "-h"} & set(sys.argv):
            _help()
        else:
            files = _parse_flags(sys.argv)
            if files and not takes_files:
                raise Failure(Code.CONFIG, f"unexpected argument {files[0]!r}", hint="every setting is a flag: --name=value")
            main(*[[Path(os.path.expanduser(file)) for file in files]] if takes_files else [])
        if sys.stdout is not None:  # closed by whoever launched us
            sys.stdout.flush()
        return Code.DONE, ""
    except Stopped as stopped:
        return stopped.code, _said(stopped)
    except KeyboardInterrupt:
        return Code.INTERRUPTED, "interrupted"
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Code.DONE, ""
    except SystemExit as error:
        if processes.current().count == 1:
            raise
        return Code.FAULT, _said(Failure(Code.FAULT, f"the program was left by sys.exit({error.code})"))
    except Exception as error:  # noqa: BLE001 every end has a message
        failure = error if isinstance(error, Failure) else processes.current().doubt(error) or _as_failure(error)
        if "--debug" in sys.argv:
            _said("".join(traceback.format_exception(error)))
        return failure.code, _said(failure)


def _said(end: object) -> str:
    """Prints how the program ends; a terminal that was closed must not cost the exit code."""
    with contextlib.suppress(OSError, ValueError):
        print(end, file=sys.stderr)
    return str(end)


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
    """Gives the flags to absl and keeps overrides for `config`; returns what is neither.

    Flags may stand in files too (`--flagfile=FILE`); what the command line itself gives wins.
    """
    try:
        files, own = _flagfiles(argv[1:])
        of_files = flags.FLAGS.read_flags_from_files(files, force_gnu=True)
        found: dict[str, Override] = {}
        rest = [word for words in (of_files, own) for word in _without_overrides(words, found)]
        unused = flags.FLAGS([argv[0], *rest])[1:]
    except flags.UnrecognizedFlagError as error:
        first = error.flagname.partition(".")[0]
        takes_config = "config" in flags.FLAGS and first in config_lib.Config.model_fields
        hint = f"--config.{error.flagname}=VALUE" if takes_config else _file_hint(error.flagname, argv)
        raise Failure(Code.CONFIG, str(error).replace(" ?", "?"), hint=hint) from error
    except flags.Error as error:
        raise Failure(Code.CONFIG, str(error).removeprefix("ERROR:: ").replace(" ?", "?")) from error
    if found and "config" not in flags.FLAGS:
        raise Failure(Code.CONFIG, f"--config.{next(iter(found))}: this command takes no config")
    _overrides.update(found)
    return unused


def _file_hint(name: str, argv: list[str]) -> str:
    """What to type for a file whose name was taken for a flag."""
    given = next((word for word in argv if word.lstrip("-").partition("=")[0] == name), "")
    return f"./{given}" if given and os.path.lexists(given) else ""


def _flagfiles(argv: list[str]) -> tuple[list[str], list[str]]:
    """The words `--flagfile=FILE` or `--flagfile FILE`, and the others."""
    files, rest, words = [], [], iter(argv)
    for word in words:
        if word in ("--flagfile", "-flagfile"):
            files += [word, *itertools.islice(words, 1)]
        else:
            (files if word.startswith(("--flagfile=", "-flagfile=")) else rest).append(word)
    return files, rest


def _without_overrides(argv: list[str], found: dict[str, Override]) -> list[str]:
    """The words that are no overrides; puts those, over what was there before, into `found`."""
    words, rest, own = iter(argv), [], {}
    for word in words:
        name, has_value, text = word.partition("=")
        if not (name.startswith("-") and name.lstrip("-").startswith("config.")):
            rest.append(word)
            continue
        name = name.lstrip("-").removeprefix("config.")
        text = text if has_value else next(words, None)
        if text is None or (not has_value and text.startswith("--")):
            raise Failure(Code.CONFIG, f"--config.{name}: no value")
        override = overrides.read(text)
        if own.setdefault(name, override).value != override.value:
            raise Failure(Code.CONFIG, f"--config.{name}: given twice, {own[name].value!r} and {text}")
    found.update(own)
    return rest


_overrides: dict[str, Override] = {}
