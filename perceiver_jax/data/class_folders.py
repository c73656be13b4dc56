"""Class folders: one folder per class.

Either `train/<class>/*` beside `test/<class>/*` (or `val`, or `validation`), or `<class>/*`, of which a part is held out as
test. Classes are numbered in the order of their sorted names. Files with another suffix are left out and reported; links are
not followed. The contents of a file are checked when it is read.
"""

import functools
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from perceiver_jax.errors import Code, Failure

TEST_NAMES = ("test", "val", "validation")


class Kind(NamedTuple):
    """What the files are: by which suffixes they are known, and their words in messages."""

    suffixes: tuple[str, ...]  # in lower case
    items: str  # what they are called: pictures
    files: str  # what a class folder has to hold: JPEG or PNG files
    pattern: str  # of their names, as in the layout: *.jpg

    @property
    def layout(self) -> str:
        """How a data set has to be laid out in its folder."""
        return f"train/CLASS/{self.pattern} with test/CLASS/{self.pattern}, or CLASS/{self.pattern}"


class Folder(NamedTuple):
    """What a folder holds."""

    root: Path
    classes: tuple[str, ...]
    splits: dict[
        str, tuple[tuple[str, tuple[int, ...]], ...]
    ]  # of each, the path below the root and the classes of each file

    @property
    def num_examples(self) -> dict[str, int]:
        """How many files each split has."""
        return {split: len(files) for split, files in self.splits.items()}

    @property
    def identity(self) -> str:
        """The SHA-256 of the names and sizes of all files."""
        digest = hashlib.sha256()
        for split, files in self.splits.items():
            for name, labels in files:
                size = os.stat(self.root / name, follow_symlinks=False).st_size
                digest.update(f"{split}\0{name}\0{labels}\0{size}\n".encode())
        return digest.hexdigest()


def root_of(data_dir: str) -> Path:
    """The absolute path of a config's folder."""
    return Path(data_dir).expanduser().absolute()


def read_file(path: str, what: str) -> bytes:
    """The bytes of a listed file; raises Failure(DATA), with `what` it is, where it cannot be read.

    Never waits: what was a file when it was listed may have become a pipe.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read()
    except OSError as error:
        raise Failure(Code.DATA, f"{what} unreadable", path, found=f"{error.strerror}") from None


@functools.cache  # of this process: a config asks for it many times
def list_folder(root: Path, test_percent: float, kind: Kind) -> Folder:
    """The classes and files of a folder; what is left out of it is reported once, on stderr.

    Raises Failure(DATA) where the folder is absent or its names do not make a data set.
    """
    if not root.is_dir():
        raise Failure(Code.DATA, "data.data_dir is not a directory", f"{root}", expected=kind.layout)
    ignored: Counter[str] = Counter()
    names = [name for name in ("train", *TEST_NAMES) if _has_folders(root / name)]
    if not names:
        folders, files = {"train": "", "test": ""}, _split(_files(root, kind, ignored), test_percent)
    elif names[0] != "train" or len(names) == 1:
        missing = "train" if names[0] != "train" else "test, val or validation"
        raise Failure(Code.DATA, f"found {names[0]} but no {missing}", f"{root}", expected=kind.layout)
    else:
        folders = {"train": "train", "test": names[1]}
        files = {split: _files(root / folder, kind, ignored) for split, folder in folders.items()}
        ignored["folders beside " + names[1]] += len(names) - 2
    if ignored.total():
        counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(ignored.items()) if count)
        print(f"{root}: left out {counts}", file=sys.stderr)
    return _numbered(root, folders, files, kind)


ByClass = dict[str, list[str]]  # the names of a class's files, sorted


def _files(folder: Path, kind: Kind, ignored: Counter[str]) -> ByClass:
    """The files of each class in a folder of class folders; counts what is left out by why."""
    files = {}
    for entry in _entries(folder, ignored):
        if not entry.is_dir(follow_symlinks=False):
            ignored["not in a class folder"] += 1
            continue
        names = [inner.name for inner in _entries(Path(entry.path), ignored) if _is_item(inner, kind, ignored)]
        if not names:
            raise Failure(Code.DATA, f"class {entry.name} has no {kind.items}", entry.path, expected=kind.files)
        _check_case(names, entry.path)
        files[entry.name] = sorted(names)
    if not files:
        raise Failure(Code.DATA, f"has no {kind.items}", f"{folder}", expected=kind.layout)
    _check_case(files, f"{folder}")
    return files


def _entries(folder: Path, ignored: Counter[str]) -> Iterator[os.DirEntry]:
    """What is in a folder, but for hidden files and names that are not UTF-8."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    entry.name.encode()
                except UnicodeEncodeError:
                    ignored["name-not-utf8"] += 1
                    continue
                if entry.name.startswith(".") or entry.name.lower() == "thumbs.db":
                    ignored["hidden"] += 1
                else:
                    yield entry
    except OSError as error:
        raise Failure(Code.DATA, "cannot list", f"{folder}", found=f"{error.strerror}") from None


def _is_item(entry: os.DirEntry, kind: Kind, ignored: Counter[str]) -> bool:
    if entry.is_dir(follow_symlinks=False):
        ignored["folders inside a class"] += 1
    elif not entry.is_file(follow_symlinks=False):
        ignored["not-a-regular-file"] += 1
    elif not entry.name.lower().endswith(kind.suffixes):
        ignored["format-not-allowed"] += 1
    else:
        return True
    return False


def _has_folders(path: Path) -> bool:
    """Whether this is a folder of folders: a class may be called `train` too."""
    if not path.is_dir() or path.is_symlink():
        return False
    with os.scandir(path) as entries:
        return any(entry.is_dir(follow_symlinks=False) for entry in entries)


def _check_case(names: Iterable[str], where: str) -> None:
    """Raises Failure(DATA) for two names that are equal on a case-insensitive file system."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise Failure(Code.DATA, f"names differ only in case: {min(name, other)}, {max(name, other)}", where)


def _split(files: ByClass, test_percent: float) -> dict[str, ByClass]:
    """Train and test of a folder that has one set: a file's own name decides, independently of all others."""

    def is_test(label: str, name: str) -> bool:
        return int.from_bytes(_digest(label, name)[:8], "big") < test_percent / 100 * 2**64

    halves: dict[str, ByClass] = {"train": {}, "test": {}}
    for label, names in files.items():
        for split, wanted in (("train", False), ("test", True)):
            chosen = [name for name in names if is_test(label, name) == wanted]
            if chosen:
                halves[split][label] = chosen
    return halves


def _digest(label: str, name: str) -> bytes:
    return hashlib.sha256(f"{label}/{name}".encode()).digest()


def _numbered(root: Path, folders: dict[str, str], files: dict[str, ByClass], kind: Kind) -> Folder:
    """The folder, each class as its number among the sorted names of those that are trained on.

    Files are shuffled, the same way everywhere, so that the part that is held out for validation has all classes.
    """
    classes = sorted(files["train"])
    unknown = sorted(set(files["test"]) - set(classes))
    if unknown:
        raise Failure(Code.DATA, f"class {unknown[0]} is in test, but not in train", f"{root}")
    if not files["test"]:
        raise Failure(Code.DATA, f"has no test {kind.items}", f"{root}", hint="a larger data.test_percent")
    splits, numbers = {}, {label: number for number, label in enumerate(classes)}
    for split, by_class in files.items():
        shuffled = sorted((_digest(label, name), label, name) for label, names in by_class.items() for name in names)
        splits[split] = tuple((os.path.join(folders[split], label, name), (numbers[label],)) for _, label, name in shuffled)
    return Folder(root, tuple(classes), splits)
