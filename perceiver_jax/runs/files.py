"""The files that people give to a command: single ones, folders, lists, pipes."""

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from perceiver_jax.data.folder_entries import LeftOut, entries_in
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import Progress
from perceiver_jax.runs.load import STDIN, Given, TrainedRun, read_file

T = TypeVar("T")
MAX_NAME = 4096  # letters of a path
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")  # in no name that people give


def listed(
    files: Sequence[Path], list_file: str | None, run: TrainedRun, bad: list[Failure], note: Callable[[str], None]
) -> list[Path]:
    """The files given, those that a list names, one a line, and in place of a folder those in it that the run can read.

    What is left out of a folder is counted for `note`; a folder that holds nothing is reported, and added to `bad`. Raises
    Failure: DATA where it is the only one given, and for a list that is none, CONFIG for a folder where an example is
    several files.
    """
    names = [] if list_file is None else _names(read_file(Path(list_file)), list_file)
    given = [*files, *(Path(os.path.expanduser(name)) for name in names)]
    found = []
    for path in given:
        try:
            found += _inside(path, run, note) if os.path.isdir(path) else [path]
        except Failure as failure:
            if failure.code != Code.DATA or len(given) == 1:
                raise
            bad.append(failure)
            note(str(failure))
    return found


def _names(data: bytes, list_file: str) -> list[str]:
    """The names in a list: one a line, or between zeros as `find -print0` writes them; in UTF-16 as PowerShell writes it.

    Raises Failure(DATA) for what is no list.
    """
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = data.decode(encoding, "surrogateescape" if encoding == "utf-8-sig" else "replace")
    lines = text.split("\0") if "\0" in text else [line.strip() for line in text.splitlines()]
    if any(len(line) > MAX_NAME or _CONTROL.search(line) for line in lines):
        hint = "without --files, if it is a file to be read"
        raise Failure(Code.DATA, f"--files {list_file}", found="no list of names, one a line", hint=hint)
    return [line for line in lines if line]


def _inside(folder: Path, run: TrainedRun, note: Callable[[str], None]) -> list[Path]:
    streams = list(run.problem.modalities.values())
    if len(streams) > 1 and not all(stream.seconds for stream in streams):
        names = ", ".join(run.problem.modalities)
        hint = "give its files, joined by commas, or --files LIST with such lines"
        raise Failure(Code.CONFIG, f"{folder} is a directory", found=f"an example has several streams: {names}", hint=hint)
    suffixes = tuple(dict.fromkeys(suffix for stream in streams for suffix in stream.suffixes))
    left_out = LeftOut(folder)
    files = list(_walk(folder, suffixes, left_out, set()))
    if not files:
        found = left_out.words().partition(": left out ")[2] or "no files"
        raise Failure(Code.DATA, f"nothing to read in {folder}", found=found, expected=", ".join(suffixes))
    if words := left_out.words():
        note(f"note: {words}")
    return files


def _walk(folder: Path, suffixes: Sequence[str], left_out: LeftOut, entered: set[str]) -> Iterator[Path]:
    """The files below a folder, sorted; links are followed, each folder is entered once."""
    entered.add(os.path.realpath(folder))
    for entry, is_folder in sorted(entries_in(folder, left_out), key=lambda found: found[0].name):
        if not is_folder and entry.name.lower().endswith(tuple(suffixes)):
            yield Path(entry.path)
        elif not is_folder:
            left_out.add_file(entry)
        elif os.path.realpath(entry.path) not in entered:
            yield from _walk(Path(entry.path), suffixes, left_out, entered)


def example_of(file: Path, run: TrainedRun) -> Path | dict[str, Path]:
    """A file, or the files of each stream that are joined by commas; a recording is a single one, of all streams.

    Raises Failure(CONFIG) for another number of them.
    """
    modalities = run.problem.modalities
    names, parts = list(modalities), str(file).split(",")
    recorded = all(modality.seconds for modality in modalities.values())
    if len(names) == 1 or (recorded and (len(parts) == 1 or file.exists())):
        return file
    if len(parts) != len(names):
        expected = f"{','.join(names)}: one of each, joined by commas"
        raise Failure(Code.CONFIG, f"{file}: {len(parts)} files", expected=expected)
    return {name: Path(part) for name, part in zip(names, parts, strict=True)}


def readable(
    files: Collection[Path], run: TrainedRun, read: Callable[[Given], T], bad: list[Failure], progress: Progress
) -> Iterator[tuple[Path, T]]:
    """Each file that can be read, with what `read` gives of it; failures of the others are reported, and added to `bad`."""
    for done, file in enumerate(files, 1):
        try:
            found = read(example_of(file, run))
        except Failure as failure:
            bad.append(failure)
            if len(files) > 1:  # of a single one it is how the command ends
                progress.note(str(failure))
        else:
            yield file, found
        progress.update(done, {})


def check_left_out(bad: Sequence[Failure], count: int) -> None:
    """Raises Failure where some of the files given could not be read: the only one's own, or how many."""
    if bad:
        raise bad[0] if count == 1 else Failure(Code.DATA, f"{len(bad)} of {count} files were left out")


def named_apart(files: Sequence[Path]) -> dict[Path, str]:
    """A name for each file's picture: its own, and its folders and suffix as far as other files have the same."""
    plain = {file: "stdin" if file == STDIN else file.stem for file in files}
    often = Counter(name.casefold() for name in plain.values())
    alike = [file.absolute() for file, name in plain.items() if often[name.casefold()] > 1]
    above = Path(os.path.commonpath([file.parent for file in alike])) if alike else Path()
    taken: set[str] = set()
    for file, name in plain.items():
        choices = [name]
        if often[name.casefold()] > 1:
            longer = file.absolute().relative_to(above)
            choices = ["_".join(longer.with_suffix("").parts), "_".join(longer.parts).replace(".", "_")]
        while choices[0].casefold() in taken:
            choices = [*choices[1:], f"{choices[-1]}_"]
        taken.add(choices[0].casefold())
        plain[file] = choices[0]
    return plain


def check_spared(written: Iterable[Path], given: Iterable[Path]) -> None:
    """Raises Failure(CONFIG) where a picture would be written over a file that is to be read."""
    files = (Path(part) for file in given for part in str(file).split(",") if os.path.isfile(part))
    inputs = {(status.st_dev, status.st_ino) for status in (file.stat() for file in files)}
    for picture in written:
        if picture.exists() and (picture.stat().st_dev, picture.stat().st_ino) in inputs:
            what = f"would overwrite the input {picture}"
            raise Failure(Code.CONFIG, f"--output {picture.parent}", what, hint="another --output")
