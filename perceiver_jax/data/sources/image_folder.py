"""A folder of pictures, a folder a class: anyone's own data.

Either `train/<class>/*` beside `test/<class>/*` (or `val`, or `validation`), or `<class>/*`, of which a part is held out as
test. Classes are numbered in the order of their sorted names. What is no JPEG or PNG file by its name is left out and
told of; no link is followed. Whether a file is a whole picture shows when it is read.
"""

import functools
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from perceiver_jax.data.config import DataConfig, Spec
from perceiver_jax.errors import Code, Failure
from perceiver_jax.section import Count, Tiny

SUFFIXES = (".jpg", ".jpeg", ".png")
TEST_NAMES = ("test", "val", "validation")
UNKNOWN = (("?", "??"), {"train": 1000, "test": 100})  # classes and examples of a folder that is not there
LAYOUT = "train/CLASS/*.jpg with test/CLASS/*.jpg, or CLASS/*.jpg"


class Config(DataConfig):
    """Where the folder is, how it is split and the size of the pictures that the model sees."""

    source: Literal["image_folder"]
    data_dir: str
    image_size: Annotated[Count, Tiny(32)]  # pixels a side of the square inputs
    test_percent: Annotated[float, Field(gt=0, lt=100)]  # held out by a hash of each name, in a folder without a test folder


class Listing(NamedTuple):
    """What a folder holds."""

    root: Path
    classes: tuple[str, ...]
    splits: dict[str, tuple[tuple[str, int], ...]]  # of each, the path below the root and the class of each picture


class Pictures:
    """Random access to the pictures of a split: `[i]` is {"image": bytes of a file, "label": int, "name": path}."""

    def __init__(self, listing: Listing, split: str):
        self._root, self._pictures = str(listing.root), listing.splits[split]

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> dict[str, bytes | int | str]:
        name, label = self._pictures[index]
        path = os.path.join(self._root, name)
        try:
            # Never waits: what was a file when it was listed may have become a pipe.
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                return {"image": file.read(), "label": label, "name": path}
        except OSError as error:
            raise Failure(Code.DATA, "picture unreadable", path, found=f"{error.strerror}") from None


def spec(config: Config) -> Spec:
    """What the folder's names say. Mean and std are those of ImageNet's photographs.

    Of a folder that is not there yet, `UNKNOWN`, so that a config can be looked at; `load` then says that it is absent.

    Raises Failure(DATA) where the names make no data set.
    """
    classes, num_examples = UNKNOWN
    if _root(config).is_dir():
        listing = _listing(config)
        classes = listing.classes
        num_examples = {split: len(pictures) for split, pictures in listing.splits.items()}
    return Spec(
        modality="image",
        shape=(config.image_size, config.image_size, 3),
        classes=classes,
        num_examples=num_examples,
        mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
        std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
        baselines={},
    )


def identity(config: Config) -> str:
    """The SHA-256 of the names and sizes of all pictures."""
    listing, digest = _listing(config), hashlib.sha256()
    for split, pictures in listing.splits.items():
        for name, label in pictures:
            size = os.stat(listing.root / name, follow_symlinks=False).st_size
            digest.update(f"{split}\0{name}\0{label}\0{size}\n".encode())
    return digest.hexdigest()


def load(config: Config, split: Literal["train", "test"]) -> Pictures:
    """The pictures of a split, sorted by class and name."""
    return Pictures(_listing(config), split)


def _listing(config: Config) -> Listing:
    return list_folder(_root(config), config.test_percent)


def _root(config: Config) -> Path:
    return Path(config.data_dir).expanduser().absolute()


@functools.cache  # of this process: a config asks for it many times
def list_folder(root: Path, test_percent: float) -> Listing:
    """The classes and pictures of a folder; what is left out of it is told once, on stderr.

    Raises Failure(DATA) where the folder is absent or its names make no data set.
    """
    if not root.is_dir():
        raise Failure(Code.DATA, "data.data_dir is no folder", f"{root}", expected=LAYOUT)
    ignored: Counter[str] = Counter()
    names = [name for name in ("train", *TEST_NAMES) if _has_folders(root / name)]
    if not names:
        folders, pictures = {"train": "", "test": ""}, _split(_pictures(root, ignored), test_percent)
    elif names[0] != "train" or len(names) == 1:
        missing = "train" if names[0] != "train" else "test, val or validation"
        raise Failure(Code.DATA, f"has {names[0]} but no {missing}", f"{root}", expected=LAYOUT)
    else:
        folders = {"train": "train", "test": names[1]}
        pictures = {split: _pictures(root / folder, ignored) for split, folder in folders.items()}
        ignored["folders beside " + names[1]] += len(names) - 2
    if ignored.total():
        counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(ignored.items()) if count)
        print(f"{root}: left out {counts}", file=sys.stderr)
    return _numbered(root, folders, pictures)


ByClass = dict[str, list[str]]  # the names of a class's pictures, sorted


def _pictures(folder: Path, ignored: Counter[str]) -> ByClass:
    """The pictures of each class in a folder of class folders; counts what is left out by why."""
    pictures = {}
    for entry in _entries(folder, ignored):
        if not entry.is_dir(follow_symlinks=False):
            ignored["not in a class folder"] += 1
            continue
        names = [inner.name for inner in _entries(Path(entry.path), ignored) if _is_picture(inner, ignored)]
        if not names:
            raise Failure(Code.DATA, f"class {entry.name} has no pictures", entry.path, expected="JPEG or PNG files")
        _check_case(names, entry.path)
        pictures[entry.name] = sorted(names)
    if not pictures:
        raise Failure(Code.DATA, "has no pictures", f"{folder}", expected=LAYOUT)
    _check_case(pictures, f"{folder}")
    return pictures


def _entries(folder: Path, ignored: Counter[str]) -> Iterator[os.DirEntry]:
    """What is in a folder, but for hidden files and names that are no text."""
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


def _is_picture(entry: os.DirEntry, ignored: Counter[str]) -> bool:
    if entry.is_dir(follow_symlinks=False):
        ignored["folders inside a class"] += 1
    elif not entry.is_file(follow_symlinks=False):
        ignored["not-a-regular-file"] += 1
    elif not entry.name.lower().endswith(SUFFIXES):
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
    """Raises Failure(DATA) for two names that would be one where case does not count: the data would be others there."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise Failure(Code.DATA, f"names differ only in case: {min(name, other)}, {max(name, other)}", where)


def _split(pictures: ByClass, test_percent: float) -> dict[str, ByClass]:
    """Train and test of a folder that has one set: a picture's own name decides, so others can come and go."""

    def is_test(label: str, name: str) -> bool:
        digest = hashlib.sha256(f"{label}/{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < test_percent / 100 * 2**64

    halves: dict[str, ByClass] = {"train": {}, "test": {}}
    for label, names in pictures.items():
        for split, wanted in (("train", False), ("test", True)):
            chosen = [name for name in names if is_test(label, name) == wanted]
            if chosen:
                halves[split][label] = chosen
    return halves


def _numbered(root: Path, folders: dict[str, str], pictures: dict[str, ByClass]) -> Listing:
    """The listing, each class as its number among the sorted names of those that are trained on."""
    classes = sorted(pictures["train"])
    unknown = sorted(set(pictures["test"]) - set(classes))
    if unknown:
        raise Failure(Code.DATA, f"class {unknown[0]} is in test, but not in train", f"{root}")
    if not pictures["test"]:
        raise Failure(Code.DATA, "has no test pictures", f"{root}", hint="a larger data.test_percent")
    splits = {
        split: tuple(
            (os.path.join(folders[split], label, name), number)
            for number, label in enumerate(classes)
            if label in by_class
            for name in by_class[label]
        )
        for split, by_class in pictures.items()
    }
    return Listing(root, tuple(classes), splits)
