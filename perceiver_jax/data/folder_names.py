"""What names of folders and files say: which split, whose, and when two of them are one."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

from perceiver_jax.errors import printable

# By split, what its folder may be called, the likelier first; in any case, and as train_set, trainset or train_data too.
SPLIT_NAMES = {"train": ("train", "training"), "test": ("test", "testing", "val", "valid", "validation")}

_AS_SPLIT = re.compile(r"([a-z]+?)[-_ ]?(set|data)?")
# What systems and programs put beside people's files; whatever begins with a dot is theirs too.
_SYSTEM_FOLDERS = {
    "__macosx",
    "lost+found",
    "@eadir",
    "@tmp",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "recycler",
    "recycled",
}
_SYSTEM_FOLDERS |= {"system volume information", "__pycache__", "temporary items", "network trash folder"}
_SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"}
_LONGEST_SUFFIX = 10  # characters; longer, what is behind a dot is part of a sentence


def split_rank(name: str) -> tuple[str, int] | None:
    """Which split a folder's name stands for, `train` or `test`, and how likely, from 0; None: neither."""
    matched = _AS_SPLIT.fullmatch(name.lower())
    for split, words in SPLIT_NAMES.items():
        if matched and matched[1] in words:
            return split, words.index(matched[1])
    return None


def of_split(names: Iterable[str], split: str) -> list[str]:
    """Those of some folders' names that stand for a split, the likeliest first."""
    ranks = {name: split_rank(name) for name in names}
    return sorted((name for name, rank in ranks.items() if rank and rank[0] == split), key=lambda name: (ranks[name], name))


def is_systems_folder(name: str) -> bool:
    """Whether a folder is the system's own, not one of a user's classes."""
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def is_systems_file(name: str) -> bool:
    """Whether a file is hidden, or one that the system has put there."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def composed(name: str) -> str:
    """The name in Unicode's composed form (NFC): systems differ in how they store letters with accents."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def suffix_of(name: str) -> str:
    """A file's suffix in lower case, or words that it has none: a noun for `counted`."""
    _, dot, last = name.rpartition(".")
    return (
        f".{printable(last.lower())}"
        if dot and last and len(last) <= _LONGEST_SUFFIX
        else "file without suffix|files without suffix"
    )


def counted(number: int, noun: str) -> str:
    """A number of things; `noun` is the word for several, `pictures`, or before it has that for one: `link to|links to`."""
    one, both, several = noun.partition("|")
    if not both:
        one, several = noun.removesuffix("s") if noun.isalpha() else noun, noun
    return f"{number:,} {one if number == 1 else several}"


def placed(items: str, where: str) -> str:
    """The words for one and for several of some items in a place, for `counted`."""
    return f"{items.removesuffix('s')} {where}|{items} {where}"


def spellings(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Names of one folder that look the same, composed and decomposed."""
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        if not name.isascii():
            alike[composed(name)].append(name)
    yield from (tuple(sorted(found)) for found in alike.values() if len(found) > 1)


def cases(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Names of one folder that differ in case alone: other systems take them for one."""
    alike: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        alike[composed(name).lower()].add(composed(name))
    yield from (tuple(sorted(found)) for found in alike.values() if len(found) > 1)
