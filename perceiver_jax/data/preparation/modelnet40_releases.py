"""Which release of ModelNet40 a source is, and where each shape is in it, with which label.

Three are in use: the meshes (`ModelNet40.zip`, packed or not), clouds of 10,000 points as text
(`modelnet40_normal_resampled`) and clouds of 2,048 points as arrays (`modelnet40_ply_hdf5_2048`).
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from perceiver_jax.data.preparation import listing as listings
from perceiver_jax.data.preparation import zip as zips
from perceiver_jax.data.preparation.items import HDF5_DAMAGE, Files, Item, Row, read
from perceiver_jax.data.preparation.listing import BadEntry, Listing, file_item, scan
from perceiver_jax.data.sources.modelnet40 import CLASSES, PUBLISHED, PUBLISHED_OF_HDF5
from perceiver_jax.errors import Code, Failure, printable, some
from perceiver_jax.readers import BadFile

DEPTH = 5  # of folders that are looked into
SHOWN = 5  # names of what is missing
ARCHIVE = "ModelNet40.zip"
LABELS = {name: label for label, name in enumerate(CLASSES)}
LAYOUTS = f"{ARCHIVE}, its class folders, modelnet40_normal_resampled or modelnet40_ply_hdf5_2048"
MAX_ROWS = 100_000  # of an HDF5 file; the release has 2,048
Entries = dict[str, Item]  # by path below the source, with slashes


class Release(NamedTuple):
    """A form in which ModelNet40 is published."""

    title: str
    num_points: int | None  # of each shape; None: any number
    sign: str  # a pattern of file names that only this release has
    fill: Callable[[Entries, Listing], None]  # the listing; raises Failure(DATA)
    published: dict[str, int]


def list_source(source: Path) -> tuple[str, Listing]:
    """The name of the release, one of RELEASES, and all that can be known of it without reading a shape.

    Raises Failure(DATA): no release or several, incomplete archives, classes that do not exist.
    """
    entries, ignored = _entries(source)
    found = [name for name, release in RELEASES.items() if any(map(re.compile(release.sign).search, entries))]
    if not found:
        raise Failure(Code.DATA, "no release of ModelNet40", f"{source}", expected=LAYOUTS)
    if len(found) > 1:
        titles = ", ".join(RELEASES[name].title for name in found)
        raise Failure(Code.DATA, "several releases of ModelNet40", f"{source}", found=titles, hint="--source=PATH of one")
    release = RELEASES[found[0]]
    listing = Listing(release.published, ignored=ignored)
    release.fill(entries, listing)
    for split in listing.published:
        listing.sort(split)
    return found[0], listing


def check_complete(listing: Listing, allow_partial: bool) -> list[str]:
    """Lines on how much of each split is there. Raises Failure(DATA) where it is not all, unless that is allowed."""
    absent = some(listing.absent, SHOWN)
    if listing.absent and not allow_partial:
        what = f"{len(listing.absent):,} files listed by the release are missing"
        raise Failure(Code.DATA, what, found=f"no {absent}", hint="download it again; or --allow_partial, for a subset")
    lines = listings.check_complete(listing, CLASSES, "shapes", dict.fromkeys(listing.published, LAYOUTS), allow_partial)
    for split, items in listing.items.items():
        found = {item.label for item in items}
        missing = [name for label, name in enumerate(CLASSES) if label not in found]
        lines += [f"{split} lacks {', '.join(missing)}"] if missing else []
    return lines + ([f"{len(listing.absent):,} files listed by the release are missing: {absent}"] if absent else [])


def _entries(source: Path) -> tuple[Entries, list[str]]:
    """The files of a folder or archive, and the names of those that no release has: what systems add."""
    archive = source / ARCHIVE if source.is_dir() else source
    found = zips.members(archive.resolve()) if archive.exists() and not archive.is_dir() else _walk(source, "", DEPTH)
    entries, ignored = {}, []
    for name, item in found:
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
        if hidden:
            ignored.append(name)
        else:
            entries[name] = item
    return entries, ignored


def _walk(folder: Path, name: str, depth: int) -> Iterator[tuple[str, Item]]:
    for entry in scan(folder):
        path = name + entry.name
        if not entry.is_dir(follow_symlinks=False):
            yield path, file_item(entry)
        elif depth > 1 and not entry.name.startswith("."):
            yield from _walk(Path(entry.path), f"{path}/", depth - 1)


def _fill_meshes(entries: Entries, listing: Listing) -> None:
    """Shapes at CLASS/SPLIT/CLASS_0001.off."""
    for name, item in entries.items():
        label, split, file = ["", "", *name.split("/")][-3:]
        if not file.lower().endswith(".off"):
            listing.ignored.append(name)
            continue
        if label in listing.published and split in LABELS:
            expected = f"{split}/{label}"
            raise Failure(Code.DATA, f"folders in the wrong order: {label}/{split}", printable(name), expected=expected)
        if split not in listing.published:
            listing.ignored.append(name)
            continue
        _check_class(label, name)
        key = file[: -len(".off")]
        shown = key.encode("utf-8", "backslashreplace").decode()
        if shown != key:
            listing.bad.append(BadEntry(split, shown, "name-not-utf8", "its name is not UTF-8"))
        elif item.size < 0:
            listing.bad.append(BadEntry(split, key, "not-a-regular-file", "is a link, a pipe or a device"))
        elif class_of(key) != label:
            listing.bad.append(BadEntry(split, key, "wrong-class", f"is in folder {label}"))
        else:
            listing.items[split].append(item._replace(key=key, label=LABELS[label]))


def _fill_resampled(entries: Entries, listing: Listing) -> None:
    """Shapes at CLASS/CLASS_0001.txt; lists say which are of which split."""
    by_path = {"/".join(name.split("/")[-2:]): name for name in entries}
    used, seen = set(), {}
    for split in listing.published:
        title = f"modelnet40_{split}.txt"
        for number, key in _lines(entries, title, used):
            where = f"{title} line {number}"
            label = class_of(key)
            if not label:
                raise Failure(Code.DATA, f"not the name of a shape: {printable(key)}", where, expected="CLASS_0001")
            _check_class(label, where)
            if key in seen:
                raise Failure(Code.DATA, f"duplicate key {key}", f"{seen[key]}, {where}")
            seen[key] = where
            path = f"{label}/{key}.txt"
            if path not in by_path:
                listing.absent.append(path)
                continue
            used.add(by_path[path])
            item = entries[by_path[path]]
            if item.size < 0:
                listing.bad.append(BadEntry(split, key, "not-a-regular-file", "is a link, a pipe or a device"))
            else:
                listing.items[split].append(item._replace(key=key, label=LABELS[label]))
    listing.ignored += sorted(entries.keys() - used)


def _fill_hdf5(entries: Entries, listing: Listing) -> None:
    """Shapes as the rows of arrays; lists, with paths of the authors' computer, say which file is of which split."""
    by_base = {name.rpartition("/")[2]: name for name in entries}
    used: set[str] = set()
    names = [line for _, line in _lines(entries, "shape_names.txt", used)]
    for name in names:
        _check_class(name, "shape_names.txt")
    for split in listing.published:
        for _, line in _lines(entries, f"{split}_files.txt", used):
            base = line.rpartition("/")[2]
            if base not in by_base:
                listing.absent.append(base)
                continue
            used.add(by_base[base])
            item = entries[by_base[base]]
            for row, label in enumerate(_labels(item, base, len(names))):
                key = f"{base.removesuffix('.h5')}/{row:04}"
                listing.items[split].append(item._replace(key=key, label=LABELS[names[label]], offset=row, form=Row("data")))
    listing.ignored += sorted(entries.keys() - used)


def _labels(item: Item, title: str, num_names: int) -> list[int]:
    """The label of each row of a file; raises Failure(DATA) where it does not have the arrays that it should have."""
    if item.form is not None:
        raise Failure(Code.DATA, f"{title} in an archive", item.path, hint="unpack it: HDF5 files are read where they are")
    if item.size < 0:
        raise Failure(Code.DATA, f"{title}: is a link, a pipe or a device", item.path)
    h5py = _h5py()
    try:
        with h5py.File(item.path, "r") as file:
            shapes = {name: file[name].shape if name in file else None for name in ("data", "label")}
            data, label = shapes.values()
            whole = data is not None and data[1:] == (RELEASES["hdf5"].num_points, 3) and data[0] <= MAX_ROWS
            if not whole or label not in (data[:1], (data[0], 1)) or file["data"].dtype.kind != "f":
                found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
                expected = "data (N, 2048, 3), label (N, 1)"
                raise Failure(Code.DATA, f"{title}: unexpected arrays", found=found, expected=expected)
            labels = np.asarray(file["label"]).reshape(-1).astype(np.int64)
    except HDF5_DAMAGE as error:
        found, hint = f"{error}".partition("\n")[0], "download it again"
        raise Failure(Code.DATA, f"{title}: not a complete HDF5 file", found=found, hint=hint) from None
    unknown = np.flatnonzero((labels < 0) | (labels >= num_names))
    if len(unknown):
        row = unknown[0]
        raise Failure(Code.DATA, f"{title} row {row}: label {labels[row]} not in 0..{num_names - 1}")
    return labels.tolist()


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        what = "the HDF5 release of ModelNet40 needs the package h5py"
        raise Failure(Code.DATA, what, hint="pip install -e .[points]") from None
    return h5py


def _lines(entries: Entries, title: str, used: set[str]) -> Iterator[tuple[int, str]]:
    """The lines of a list, numbered from 1, without blank ones; adds the list to what is used."""
    names = [name for name in entries if name.rpartition("/")[2] == title]
    if len(names) != 1 or entries[names[0]].size < 0:
        raise Failure(Code.DATA, f"{len(names)} files {title}", expected="1: a part of the release")
    used.add(names[0])
    try:
        with Files() as files:
            text = read(entries[names[0]], files).decode(errors="backslashreplace")
    except BadFile as bad:
        raise Failure(Code.DATA, title, bad.sentence) from None
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if line.strip():
            yield number, line.strip()


def class_of(key: str) -> str:
    """The class in a shape's name: up to the last underscore, as `night_stand_0001`."""
    return key.rpartition("_")[0]


def _check_class(name: str, where: str) -> None:
    if name not in LABELS:
        expected = f"one of the {len(LABELS)} of ModelNet40"
        raise Failure(Code.DATA, f"unknown class {printable(name)}", printable(where), expected=expected)


RELEASES = {
    "meshes": Release("the meshes", None, r"(?i)\.off$", _fill_meshes, PUBLISHED),
    "resampled": Release(
        "the 10,000-point text release", 10_000, r"(^|/)modelnet40_(train|test)\.txt$", _fill_resampled, PUBLISHED
    ),
    "hdf5": Release("the 2,048-point HDF5 release", 2048, r"(^|/)[^/]*\.h5$", _fill_hdf5, PUBLISHED_OF_HDF5),
}
