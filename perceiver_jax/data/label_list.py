"""The labels of files from a CSV file: one line per file, `file,label;label`, names relative to the CSV file's folder.

Splits are the folders `train` and `test` (or another of `folder_names.SPLIT_NAMES`) where every name begins with one;
otherwise a part is held out as test. Classes are numbered in the order of their sorted names. Files of the folder that are
not listed are left out, and counted. `label_rows` says how the file may be written.
"""

import functools
import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from perceiver_jax.data import folder_names, label_rows
from perceiver_jax.data.class_folders import Folder
from perceiver_jax.data.folder_entries import Kind, check_root
from perceiver_jax.data.folder_names import composed, counted
from perceiver_jax.data.label_rows import EXPECTED, SEPARATOR, Row
from perceiver_jax.errors import Code, Failure, printable, some

SHOWN = 10  # names in a message
_DRIVE = re.compile(r"[A-Za-z]:/")  # Windows' absolute paths

Labels = dict[str, tuple[str, ...]]  # by file, in the order of the list


@functools.cache  # of this process: a source asks for it many times
def list_files(root: Path, name: str, test_percent: float, kind: Kind) -> Folder:
    """The classes and files that a list in the folder names.

    Raises Failure(DATA), with the line, where the list is absent or wrong or names a file that does not exist.
    """
    check_root(root, kind)
    path = root / name
    rows, unread = label_rows.read(_bytes(path), f"{path}", kind.suffixes)
    files = _Files(root, kind)
    labels = _by_file(rows, files, path)
    classes = tuple(sorted({label for each in labels.values() for label in each}))
    if not classes:
        raise Failure(Code.DATA, "no file has a label", f"{path}", expected=EXPECTED)
    numbers = {label: number for number, label in enumerate(classes)}
    notes = [f"{path}: not read: column{'s' if len(unread) > 1 else ''} {some(unread, SHOWN)}"] if unread else []
    notes += [f"{path}: labels differ only in case: {', '.join(pair)}" for pair in folder_names.cases(classes)]
    splits = {
        split: tuple((file, tuple(sorted(numbers[label] for label in labels[file]))) for file in sorted(files, key=_digest))
        for split, files in _split(list(labels), test_percent, kind, path, notes).items()
    }
    for split, listed in splits.items():
        if not listed:
            hint = "a larger data.test_percent" if split == "test" else "a smaller data.test_percent"
            raise Failure(Code.DATA, f"has no {split} {kind.items}", f"{path}", hint=hint)
    trained = {number for _, each in splits["train"] for number in each}
    missing = [label for label in classes if numbers[label] not in trained]
    notes += [f"{path}: no training example of {some(missing, SHOWN)}"] if missing else []
    unlisted = len(files.paths - labels.keys())
    notes += [f"{root}: left out {counted(unlisted, kind.items)} that {name} does not list"] if unlisted else []
    for note in notes:
        print(printable(note, 500), file=sys.stderr)
    return Folder(root, classes, splits)


def _bytes(path: Path) -> bytes:
    """The list's bytes; raises Failure(DATA), with the lists that there are, where it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        lists = sorted(one.name for one in path.parent.glob("*") if one.suffix.lower() in (".csv", ".tsv", ".txt"))
        hint = f"--config.data.labels={lists[0]}" if lists else ""
        found = f"beside it are {some(lists, SHOWN)}" if lists else ""
        raise Failure(Code.DATA, "the list of labels does not exist", f"{path}", found, f"lines {EXPECTED}", hint) from None
    except OSError as error:
        raise Failure(Code.DATA, "cannot read the list of labels", f"{path}", found=f"{error.strerror}") from None


class _Files:
    """The files below a folder, by the names that a list may call them."""

    def __init__(self, root: Path, kind: Kind):
        self._root, self._kind = root, kind
        self.paths: set[str] = set()  # as they are on disk
        for parent, folders, names in os.walk(root):
            folders[:] = [folder for folder in folders if not folder_names.is_systems_folder(folder)]
            below = "" if parent == str(root) else f"{os.path.relpath(parent, root)}/"
            self.paths.update(below + name for name in names if name.lower().endswith(kind.suffixes) and name[0] != ".")
        self._composed = {composed(path): path for path in self.paths if not path.isascii()}

    def find(self, name: str, where: str) -> str:
        """The path on disk of a file that a list names; raises Failure(DATA) where there is none."""
        if name in self.paths:
            return name
        file = str(PurePosixPath(name if os.path.isfile(self._root / name) else name.replace("\\", "/")))
        last = PurePosixPath(file).name.lower()
        if not file.lower().endswith(self._kind.suffixes):
            found, near = printable(name) or "no name of a file", self._like(lambda path: path.stem.lower() == last)
            hint = f"the name with its suffix: {near}" if near else ""
            raise Failure(Code.DATA, where, found=found, expected=self._kind.files, hint=hint)
        if os.path.isabs(file) or _DRIVE.match(file) or ".." in PurePosixPath(file).parts:
            raise Failure(Code.DATA, where, found=printable(name), expected="a path inside the folder of the list")
        if file in self.paths:
            return file
        if composed(file) in self._composed:
            return self._composed[composed(file)]
        if os.path.isfile(self._root / file):  # in a folder that is a link, or hidden
            return file
        near = self._like(lambda path: path.name.lower() == last)
        hint = f"its path from the folder of the list: {near}" if near else ""
        raise Failure(Code.DATA, where, f"{printable(name)} not found", hint=hint)

    def _like(self, fits: Callable[[PurePosixPath], bool]) -> str:
        """The first paths that fit, in words."""
        return some(sorted(path for path in self.paths if fits(PurePosixPath(path))), 3)


def _by_file(rows: list[Row], files: _Files, path: Path) -> Labels:
    """The labels of each file; raises Failure(DATA) for a line that is wrong, and where there is none."""
    labels: Labels = {}
    for row in rows:
        where = f"{path} line {row.line}"
        file = files.find(row.name, where)
        if file in labels:
            hint = f"one line with its labels, between {SEPARATOR}"
            raise Failure(Code.DATA, where, f"{printable(row.name)} is listed twice", hint=hint)
        labels[file] = row.labels
    if not labels:
        raise Failure(Code.DATA, "the list of labels is empty", f"{path}", expected=f"lines {EXPECTED}")
    return labels


def _split(files: list[str], test_percent: float, kind: Kind, path: Path, notes: list[str]) -> dict[str, list[str]]:
    """The files of train and test; where both have folders, those of further splits are left out, and counted."""
    folders = [file.partition("/")[0] if "/" in file else "" for file in files]
    counts = Counter(folders)
    ranks = {name: folder_names.split_rank(name) for name in counts}
    if all(ranks.values()) and {split for split, _ in ranks.values()} == {"train", "test"}:
        best = min(rank for rank in ranks.values() if rank[0] == "test")
        chosen = {name: rank[0] for name, rank in ranks.items() if rank[0] == "train" or rank == best}
        for name in sorted(counts.keys() - chosen.keys()):
            beside = " and ".join(sorted(chosen))
            notes.append(f"{path}: left out {counted(counts[name], kind.items)} in {name}, beside {beside}")
        halves: dict[str, list[str]] = {"train": [], "test": []}
        for file, folder in zip(files, folders, strict=True):
            if folder in chosen:
                halves[chosen[folder]].append(file)
        return halves
    is_test = [int.from_bytes(_digest(file)[:8], "big") < test_percent / 100 * 2**64 for file in files]
    return {
        "train": [file for file, held_out in zip(files, is_test, strict=True) if not held_out],
        "test": [file for file, held_out in zip(files, is_test, strict=True) if held_out],
    }


def _digest(file: str) -> bytes:
    return hashlib.sha256(composed(file).encode()).digest()
