"""The labels of files from a CSV file: one line per file, `file,label;label`, names relative to the CSV file's folder.

Splits are the folders `train` and `test` (or `val`, or `validation`) where every name begins with one; otherwise a part is
held out as test. Classes are numbered in the order of their sorted names. A first line `file,...` is a header. Files of the
folder that are not listed are left out, and counted.
"""

import csv
import functools
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from perceiver_jax.data.class_folders import TEST_NAMES, Folder, Kind
from perceiver_jax.errors import Code, Failure

HEADING = ("file", "filename", "path")
SEPARATOR = ";"  # between the labels of one file

Labels = dict[str, tuple[str, ...]]  # by file, in the order of the list


@functools.cache  # of this process: a source asks for it many times
def list_files(root: Path, name: str, test_percent: float, kind: Kind) -> Folder:
    """The classes and files that a list in the folder names.

    Raises Failure(DATA), with the line, where the list is absent or wrong or names a file that does not exist.
    """
    labels = _read(root, name, kind)
    classes = tuple(sorted({label for each in labels.values() for label in each}))
    if not classes:
        raise Failure(Code.DATA, "no file has a label", f"{root / name}")
    numbers = {label: number for number, label in enumerate(classes)}
    splits = {
        split: tuple((file, tuple(sorted(numbers[label] for label in labels[file]))) for file in sorted(files, key=_digest))
        for split, files in _split(list(labels), test_percent).items()
    }
    for split, files in splits.items():
        if not files:
            hint = "a larger data.test_percent" if split == "test" else "a smaller data.test_percent"
            raise Failure(Code.DATA, f"has no {split} {kind.items}", f"{root / name}", hint=hint)
    trained = {number for _, each in splits["train"] for number in each}
    missing = [label for label in classes if numbers[label] not in trained]
    if missing:
        print(f"{root / name}: no training example of {', '.join(missing)}", file=sys.stderr)
    unlisted = sum(file not in labels for file in _files(root, kind))
    if unlisted:
        print(f"{root}: left out {unlisted:,} {kind.items} that {name} does not list", file=sys.stderr)
    return Folder(root, classes, splits)


def _read(root: Path, name: str, kind: Kind) -> Labels:
    """The labels of each file that the list names."""
    path, labels = root / name, {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            for row in rows:
                if row and not (rows.line_num == 1 and row[0].strip().lower() in HEADING):
                    _add(labels, row, root, f"{path} line {rows.line_num}", kind)
    except FileNotFoundError:
        raise Failure(Code.DATA, "not a list of labels", f"{path}", expected="lines `file,label;label`") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Failure(Code.DATA, "cannot read the list of labels", f"{path}", found=str(error)) from None
    if not labels:
        raise Failure(Code.DATA, "the list of labels is empty", f"{path}", expected="lines `file,label;label`")
    return labels


def _add(labels: Labels, row: list[str], root: Path, where: str, kind: Kind) -> None:
    """Adds one line's file to the labels; raises Failure(DATA) for a line that is wrong."""
    if len(row) != 2:
        raise Failure(Code.DATA, where, found=f"{len(row)} columns", expected=f"`file,label{SEPARATOR}label`")
    name, given = row[0].strip(), [label.strip() for label in row[1].split(SEPARATOR)]
    file = str(PurePosixPath(name))
    if not file.lower().endswith(kind.suffixes):
        raise Failure(Code.DATA, where, found=name, expected=kind.files)
    if os.path.isabs(file) or ".." in PurePosixPath(file).parts:
        raise Failure(Code.DATA, where, found=name, expected="a path inside the folder of the list")
    if file in labels:
        raise Failure(Code.DATA, where, f"{name} is listed twice", hint=f"one line with its labels, between {SEPARATOR}")
    if not (root / file).is_file():
        raise Failure(Code.DATA, where, f"{name} not found")
    labels[file] = tuple(dict.fromkeys(label for label in given if label))


def _split(files: list[str], test_percent: float) -> dict[str, list[str]]:
    """The files of train and test; where both have folders, those of further splits are left out, and counted."""
    folders = [PurePosixPath(file).parts[0] for file in files]
    names = [name for name in TEST_NAMES if name in folders]
    if names and "train" in folders and set(folders) <= {"train", *TEST_NAMES}:
        others = sum(folder not in ("train", names[0]) for folder in folders)
        if others:
            print(f"left out {others:,} files of splits other than train and {names[0]}", file=sys.stderr)
        of = {"train": "train", "test": names[0]}
        return {split: [file for file, folder in zip(files, folders, strict=True) if folder == of[split]] for split in of}
    is_test = [int.from_bytes(_digest(file)[:8], "big") < test_percent / 100 * 2**64 for file in files]
    return {
        "train": [file for file, held_out in zip(files, is_test, strict=True) if not held_out],
        "test": [file for file, held_out in zip(files, is_test, strict=True) if held_out],
    }


def _digest(file: str) -> bytes:
    return hashlib.sha256(file.encode()).digest()


def _files(root: Path, kind: Kind) -> Iterator[str]:
    """The names of all files of a kind below a folder; hidden ones left out."""
    for parent, folders, names in os.walk(root):
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        for name in names:
            if name.lower().endswith(kind.suffixes) and not name.startswith("."):
                yield PurePosixPath(os.path.relpath(os.path.join(parent, name), root)).as_posix()
