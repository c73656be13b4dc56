"""Class folders: one folder per class.

Either `train/<class>/*` beside `test/<class>/*`, or others of `folder_names.SPLIT_NAMES`, or `<class>/*`, of which a part
is held out as test. Classes are numbered in the order of their sorted names. Links to folders and files are followed. What
is left out is reported with its reason; the contents of a file are checked when it is read.
"""

import functools
import hashlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

from perceiver_jax.data import folder_names
from perceiver_jax.data.folder_entries import (
    ARCHIVES,
    Kind,
    LeftOut,
    check_root,
    check_stored_link,
    entries_in,
    folders_in,
    holding,
    items_in,
)
from perceiver_jax.data.folder_names import composed, counted, placed
from perceiver_jax.errors import Code, Failure, nearest, printable, some

SHOWN = 5  # notes on names of one folder


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
                size = os.stat(self.root / name).st_size
                digest.update(f"{split}\0{name}\0{labels}\0{size}\n".encode())
        return digest.hexdigest()


class ClassFolder(NamedTuple):
    """A class's folder, below that of its split, and the names of its files."""

    folder: str
    names: list[str]


ByClass = dict[str, ClassFolder]  # by the class's name, composed


@functools.cache  # of this process: a config asks for it many times
def list_folder(root: Path, test_percent: float, kind: Kind) -> Folder:
    """The classes and files of a folder; what is left out of it is reported once, on stderr.

    Raises Failure(DATA) where the folder is absent or its names do not make a data set.
    """
    check_root(root, kind)
    left_out, notes = LeftOut(root), list[str]()
    splits = _split_folders(root, kind)
    if splits is None:
        folders, files = {"train": "", "test": ""}, _split(_files(root, kind, left_out, notes), test_percent)
    else:
        folders = splits
        files = {split: _files(root / name, kind, left_out, notes, split == "test") for split, name in splits.items()}
        _note_beside(root, kind, list(splits.values()), left_out)
    found = _numbered(root, folders, files, kind)
    if len(found.classes) == 1:
        notes.append(f"{root}: holds one class, {found.classes[0]}: there is nothing to tell it from")
    more = [f"{root}: {len(notes) - SHOWN} more such notes"] if len(notes) > SHOWN else []
    for words in filter(None, (left_out.words(), *notes[:SHOWN], *more)):
        print(words, file=sys.stderr)
    return found


def _split_folders(root: Path, kind: Kind) -> dict[str, str] | None:
    """The folders of train and test; None where the folders are classes, which may be called `train` too."""
    there = {entry.name: Path(entry.path) for entry in folders_in(root)}
    named = {split: folder_names.of_split(there, split) for split in ("train", "test")}
    deep = {split: [name for name in names if folders_in(there[name])] for split, names in named.items()}
    if not any(deep.values()) and (not all(named.values()) or len(there) > sum(map(len, named.values()))):
        return None
    for split, names in named.items():
        if names and not deep[split]:
            what = f"{names[0]} holds {holding(there[names[0]], kind)} and no class folders"
            hint = "a folder for each class; or a list of labels, --config.data.labels=FILE.csv in the folder"
            raise Failure(Code.DATA, what, f"{root}", expected=kind.layout, hint=hint)
    if len(deep["train"]) > 1:
        what = f"holds {len(deep['train'])} folders to train on: {', '.join(deep['train'])}"
        raise Failure(Code.DATA, what, f"{root}", expected=kind.layout, hint="one of them, or all their files in one")
    if not all(deep.values()):
        found, missing = (deep["train"], "test, val or valid") if deep["train"] else (deep["test"], "train")
        what = f"holds {some(sorted(there), 5)} and no {missing}"
        hint = f"--config.data.data_dir={there[found[0]]}, of which data.test_percent are held out" if deep["train"] else ""
        raise Failure(Code.DATA, what, f"{root}", expected=kind.layout, hint=hint)
    return {split: names[0] for split, names in deep.items()}


def _note_beside(root: Path, kind: Kind, used: list[str], left_out: LeftOut) -> None:
    """Counts what is beside the folders of the splits and could be meant for one of them."""
    between = f"beside {' and '.join(used)}"
    for entry, is_folder in entries_in(root, left_out):
        if is_folder and entry.name not in used:
            inside = sum(len(items_in(Path(one.path), kind)) for one in folders_in(Path(entry.path)))
            what = counted(inside, kind.items) if inside else holding(Path(entry.path), kind)
            left_out.add(placed("folders", between), f"{entry.name}: {what}")
        elif not is_folder and entry.name.lower().endswith(kind.suffixes):
            left_out.add(placed(kind.items, between), entry.name)


def _files(folder: Path, kind: Kind, left_out: LeftOut, notes: list[str], may_lack: bool = False) -> ByClass:
    """The files of each class in a folder of class folders.

    A class without files is an error, or, where some `may_lack` them, left out.
    """
    files: ByClass = {}
    entries = list(entries_in(folder, left_out))
    _check_names([entry.name for entry, is_folder in entries if is_folder], folder, notes)
    for entry, is_folder in entries:
        if not is_folder:
            if entry.name.lower().endswith(kind.suffixes):
                left_out.add(placed(kind.items, "outside of the class folders"), entry.path)
            else:
                check_stored_link(entry)
                left_out.add_file(entry)
            continue
        path = Path(entry.path)
        names = items_in(path, kind, left_out)
        if not names and not may_lack:
            raise _without_files(path, kind)
        if not names:
            what = placed("folders", f"without {kind.items}")
            left_out.add(what, f"{entry.path}: {holding(path, kind)}")
            continue
        notes += [_same_case(pairs, path) for pairs in folder_names.cases(names)][:1]
        notes += [_same_spelling(pairs, path) for pairs in folder_names.spellings(names)][:1]
        files[composed(entry.name)] = ClassFolder(entry.name, sorted(names))
    if not files:
        lacking = kind.items if any(is_folder for _, is_folder in entries) else "class folders"
        what = f"holds {holding(folder, kind)} and no {lacking}"
        packed = any(entry.name.lower().endswith(ARCHIVES) for entry, _ in entries)
        hint = "unpack the archive, and give the folder that comes out" if packed else ""
        raise Failure(Code.DATA, what, f"{folder}", expected=kind.layout, hint=hint)
    return files


def _without_files(folder: Path, kind: Kind) -> Failure:
    """What is wrong with a class folder that has no example in it."""
    held, inner, name = holding(folder, kind), folders_in(folder), printable(folder.name)
    what = f"class {name} is empty" if held == "nothing" else f"class {name} holds {held} and no {kind.items}"
    hint = f"put its {kind.items} there, or remove the folder"
    if inner:
        hint = (
            f"--config.data.data_dir={folder}, if its folders are the classes; or {kind.items} in the class's folder itself"
        )
    elif held != "nothing":
        hint = f"save them as {kind.files}, or remove the folder"
    return Failure(Code.DATA, what, f"{folder}", expected=kind.files, hint=hint)


def _check_names(names: list[str], folder: Path, notes: list[str]) -> None:
    """Raises Failure(DATA) where two class folders have the same name in two spellings; notes those that differ in case."""
    for pair in folder_names.spellings(names):
        found = " and ".join(ascii(name) for name in pair)
        what = f"{len(pair)} folders are called {composed(pair[0])}"
        raise Failure(Code.DATA, what, f"{folder}", found, "one spelling of a letter", "put their files into one of them")
    notes += [_same_case(pair, folder) for pair in folder_names.cases(names)]


def _same_case(names: tuple[str, ...], folder: Path) -> str:
    return f"{folder}: names differ only in case: {', '.join(names)}; each is read"


def _same_spelling(names: tuple[str, ...], folder: Path) -> str:
    return f"{folder}: names differ only in how a letter is stored: {', '.join(map(ascii, names))}; each is read"


def _split(files: ByClass, test_percent: float) -> dict[str, ByClass]:
    """Train and test of a folder that has one set: a file's own name decides, independently of all others.

    But no class is held out as a whole: then the last of its files by that hash is trained on.
    """
    halves: dict[str, ByClass] = {"train": {}, "test": {}}
    for label, (folder, names) in files.items():
        ranks = {name: _digest(label, name) for name in names}
        held_out = {name for name in names if int.from_bytes(ranks[name][:8], "big") < test_percent / 100 * 2**64}
        if len(held_out) == len(names):
            held_out.remove(max(names, key=ranks.__getitem__))
        for split, chosen in (("train", [n for n in names if n not in held_out]), ("test", sorted(held_out))):
            if chosen:
                halves[split][label] = ClassFolder(folder, chosen)
    return halves


def _digest(label: str, name: str) -> bytes:
    return hashlib.sha256(f"{label}/{composed(name)}".encode()).digest()


def _numbered(root: Path, folders: dict[str, str], files: dict[str, ByClass], kind: Kind) -> Folder:
    """The folder, each class as its number among the sorted names of those that are trained on.

    Files are shuffled, the same way everywhere, so that the part that is held out for validation has all classes.
    """
    classes = sorted(files["train"])
    for label in sorted(set(files["test"]) - set(classes)):
        what = f"class {label} has {counted(len(files['test'][label].names), kind.items)} in {folders['test']}"
        near = nearest(label, classes) or next((name for name in classes if name.lower() == label.lower()), "")
        hint = f"give its folder the name {near}, if that is the class" if near else "train on it, or remove its folder"
        found = f"{folders['train']} holds {some(classes, 10)}"
        raise Failure(Code.DATA, f"{what}, but none in {folders['train']}", f"{root}", found, hint=hint)
    if not files["test"]:
        what = f"none of {counted(sum(len(one.names) for one in files['train'].values()), kind.items)} is held out as test"
        alone = all(len(one.names) == 1 for one in files["train"].values())
        more = f"more {kind.items} in the folder of each class" if alone else "a larger data.test_percent"
        raise Failure(Code.DATA, what, f"{root}", hint=f"{more}, or folders train and test")
    splits, numbers = {}, {label: number for number, label in enumerate(classes)}
    for split, by_class in files.items():
        shuffled = sorted(
            (_digest(label, name), label, os.path.join(folders[split], one.folder, name))
            for label, one in by_class.items()
            for name in one.names
        )
        splits[split] = tuple((path, (numbers[label],)) for _, label, path in shuffled)
    return Folder(root, tuple(classes), splits)
