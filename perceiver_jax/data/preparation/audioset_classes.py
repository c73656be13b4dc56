"""AudioSet's classes, from the user's `class_labels_indices.csv`: lines `index,mid,"display name"`."""

import csv
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from perceiver_jax.data import label_rows
from perceiver_jax.errors import Code, Failure, printable
from perceiver_jax.system import disk

NUM_CLASSES = 527
NUM_IN_ONTOLOGY = 632
_INDEX = re.compile(r"[0-9]{1,9}")
MID = re.compile(r"/[a-z]/[0-9a-z_]+")
EXPECTED = 'index,mid,"display name", as in class_labels_indices.csv'
_HEADINGS = {"index": "index", "mid": "mid", "displayname": "name"}


class Classes(NamedTuple):
    """The classes in the order of their numbers."""

    mids: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def sign(self) -> str:
        """Their number, and a sum that tells them from others."""
        return f"{len(self.mids)} ({hashlib.sha256(repr(tuple(self)).encode()).hexdigest()[:8]})"


def read(path: Path, allow_partial: bool) -> Classes:
    """The classes by their index column, in whatever order the lines are.

    Raises Failure(DATA), with the line, where the file cannot be read or is wrong, and where it has not the 527 classes
    of the published lists, unless `allow_partial`.
    """
    found: dict[int, tuple[str, str]] = {}
    lines: dict[str, int] = {}  # of each index, mid and name
    for line, index, mid, name in _rows(path):
        for what, value in (("index", f"{index}"), ("mid", mid), ("display name", name)):
            if f"{what} {value}" in lines:
                first = lines[f"{what} {value}"]
                raise Failure(Code.DATA, f"{path} line {line}", f"{what} {printable(value)} is in line {first} already")
            lines[f"{what} {value}"] = line
        found[index] = mid, name
    if not found:
        raise Failure(Code.DATA, "the list of classes is empty", f"{path}", expected=EXPECTED)
    gap = next((index for index in range(len(found)) if index not in found), None)
    if gap is not None:
        what = f"{len(found):,} classes, none of them with index {gap}"
        raise Failure(Code.DATA, f"{path}", what, expected=f"indices 0 to {len(found) - 1}")
    if len(found) != NUM_CLASSES and not allow_partial:
        hint = "the class_labels_indices.csv beside the lists of segments; or --allow_partial, for classes of your own"
        shown = f"{len(found):,} classes"
        if len(found) == NUM_IN_ONTOLOGY:
            shown += f": the whole ontology, of which {NUM_CLASSES} classes have clips"
        raise Failure(Code.DATA, f"{path}", found=shown, expected=f"{NUM_CLASSES}", hint=hint)
    ordered = [found[index] for index in range(len(found))]
    return Classes(tuple(mid for mid, _ in ordered), tuple(name for _, name in ordered))


def read_text(path: Path, flag: str, what: str) -> str:
    """A list as text; raises Failure(DATA) where it cannot be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        beside = sorted(one.name for one in path.parent.glob("*.csv"))[:5] if path.parent.is_dir() else []
        found = f"beside it are {', '.join(beside)}" if beside else ""
        raise Failure(Code.DATA, f"{flag} {path}", "does not exist", found=found) from None
    except OSError as error:
        raise Failure(Code.DATA, f"{flag} {path}", "cannot be read", found=disk.reason(error)) from None
    return label_rows.decoded(data, f"{path}", what)


def delimiter_of(text: str, fits: re.Pattern[str], column: int, least: int) -> str:
    """What separates columns: what makes one of the first lines have `least` of them, of which `column` fits."""
    shown = [line for line in text[: 2**16].split("\n") if line.strip() and not line.startswith("#")][:5]
    for delimiter in ",;\t":
        for fields in csv.reader(shown, delimiter=delimiter, skipinitialspace=True):
            if len(fields) >= least and fits.fullmatch(fields[column].strip()):
                return delimiter
    return ","


def _rows(path: Path) -> Iterator[tuple[int, int, str, str]]:
    """Line, index, mid and display name."""
    text = read_text(path, "--labels", "the list of classes")
    if text.lstrip()[:1] in ("[", "{"):
        raise Failure(Code.DATA, f"{path}", found="JSON, perhaps ontology.json", expected=EXPECTED)
    delimiter = delimiter_of(text, MID, 1, 3)
    places = {"index": 0, "mid": 1, "name": 2}
    for line, fields in label_rows.lines(text, delimiter, f"{path}", EXPECTED):
        names = [re.sub(r"[\W_]", "", field.lower()) for field in fields]
        if fields[0].startswith("#"):
            continue
        if "mid" in names:
            places = {_HEADINGS[name]: i for i, name in enumerate(names) if name in _HEADINGS}
            if len(places) < 3:
                raise Failure(Code.DATA, f"{path} line {line}", found=printable(",".join(fields)), expected=EXPECTED)
            continue
        if len(fields) > 3 and places["name"] == 2:  # a display name with commas whose quotes are gone
            fields = [*fields[:2], ", ".join(filter(None, fields[2:]))]
        if len(fields) <= max(places.values()):
            raise Failure(Code.DATA, f"{path} line {line}", found=_counted(fields), expected=f"3 fields, {EXPECTED}")
        index, mid, name = (fields[places[what]] for what in ("index", "mid", "name"))
        if not (_INDEX.fullmatch(index) and MID.fullmatch(mid) and name):
            raise Failure(Code.DATA, f"{path} line {line}", found=printable(",".join(fields)), expected=EXPECTED)
        yield line, int(index), mid, name


def _counted(fields: list[str]) -> str:
    return f"{len(fields)} field{'s' if len(fields) != 1 else ''}"
