"""What a source holds, split by split, and whether that is the whole data set."""

import collections
import dataclasses
import itertools
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from perceiver_jax.data.preparation.items import Item
from perceiver_jax.errors import Code, Failure, some


class BadEntry(NamedTuple):
    """An item that its listing shows to be bad."""

    split: str
    key: str
    code: str  # for programs
    sentence: str  # for users


@dataclasses.dataclass
class Listing:
    """What a source holds, of `published` examples by split."""

    published: Mapping[str, int]
    items: dict[str, list[Item]] = dataclasses.field(init=False)
    bad: list[BadEntry] = dataclasses.field(default_factory=list)
    ignored: list[str] = dataclasses.field(default_factory=list)  # what is not an example by its name
    absent: list[str] = dataclasses.field(default_factory=list)  # what the source itself lists, but has not

    def __post_init__(self) -> None:
        self.items = {split: [] for split in self.published}

    @property
    def partial(self) -> bool:
        """Whether it is another number of examples than published."""
        return any(self.found(split) != size for split, size in self.published.items())

    def found(self, split: str) -> int:
        """The examples of a split, those included of which the listing alone shows that they are bad."""
        return len(self.items[split]) + sum(bad.split == split for bad in self.bad)

    def sort(self, split: str) -> None:
        """Puts a split in the order of its keys; raises Failure(DATA) where two of them differ in no more than case."""
        items = self.items[split]
        items.sort(key=lambda item: (item.key.casefold(), item.key))
        for before, after in itertools.pairwise(items):
            if before.key.casefold() == after.key.casefold():
                raise Failure(Code.DATA, f"duplicate key {after.key}", f"{before.path}, {after.path}")


def check_complete(
    listing: Listing, classes: Sequence[str], noun: str, wanted: Mapping[str, str], allow_partial: bool
) -> list[str]:
    """Lines on how much of each split is there. Raises Failure(DATA) where it is not all, unless that is allowed.

    `noun` is what examples are called, `wanted` what holds those of each split.
    """
    lines, wrong = [], []
    for split, size in listing.published.items():
        items = listing.items[split]
        counts = collections.Counter(item.label for item in items)
        lines.append(f"{split}: {len(counts):,} of {len(classes):,} classes, {len(items):,} of {size:,} {noun}")
        missing = [name for label, name in enumerate(classes) if label not in counts]
        if missing:
            wrong.append((f"{len(counts)} of {len(classes)} classes in {split}; missing {some(missing, 5)}", ""))
        elif listing.found(split) != size:
            wrong.append((f"{listing.found(split):,} {noun} in {split}", f"{size:,}"))
    for split in listing.published:
        if not listing.items[split]:
            found, hint = "; ".join(lines), "--source=DIR that holds them"
            raise Failure(Code.DATA, f"no {noun} for {split}", found=found, expected=wanted[split], hint=hint)
    if wrong and not allow_partial:
        hint = "download it again; or --allow_partial, for a subset"
        what, expected = wrong[0]
        raise Failure(Code.DATA, what, found="; ".join(lines), expected=expected, hint=hint)
    return lines


def share(whole: int, num_items: int, of: int) -> int:
    """The shards for a number of items, where `of` items have `whole` of them."""
    return min(num_items, -(-whole * num_items // of))


def file_item(file: os.DirEntry) -> Item:
    """A whole file as an item without key and label; its size is -1 for anything but a regular file."""
    state = file.stat(follow_symlinks=False)
    size = state.st_size if stat.S_ISREG(state.st_mode) else -1
    return Item("", 0, file.path, 0, size, state.st_mtime_ns)


def is_folder(entry: os.DirEntry) -> bool:
    """Whether an entry is a folder or a link to one; a link that leads nowhere, or to itself, is not one."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def scan(folder: Path) -> list[os.DirEntry]:
    """A folder's entries by name; raises Failure(DATA) where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise Failure(Code.DATA, f"cannot read {folder}", os.strerror(error.errno).lower()) from None
