"""ImageNet as its archives or class folders hold it: which picture is where, with which label, and what is wrong.

Everything here is known from headers and names; no picture is read. A validation picture's label goes by the number in
its name: lists by position are wrong from the first missing picture on.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from perceiver_jax.data.preparation import listing as listings
from perceiver_jax.data.preparation.items import Example, Item, record
from perceiver_jax.data.preparation.listing import BadEntry, Listing, file_item, is_folder, scan, share
from perceiver_jax.data.preparation.tar import Archive
from perceiver_jax.data.sources import imagenet2012 as published
from perceiver_jax.data.sources.imagenet2012 import TFDS_SPLITS, published_file, synsets
from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import pictures

NAME, VERSION, NOUN = "imagenet2012", "5.1.0", "pictures"  # name and version as TFDS has them
PUBLISHED = {TFDS_SPLITS[split]: size for split, size in published.PUBLISHED.items()}  # pictures
SHARDS = {"train": 1024, "validation": 64}  # of the whole data set, as TFDS has it
ARCHIVES = {"train": ("ILSVRC2012_img_train.tar", 147_897_477_120), "validation": ("ILSVRC2012_img_val.tar", 6_744_924_160)}
PRELOAD = (__name__, "PIL.JpegImagePlugin", "PIL.PngImagePlugin", "cv2", "tensorflow_datasets.proto.tf_example_pb2")
FOLDERS = {"train": "train", "validation": "val"}

_NAMES = {"train": r"(n\d{8})_\d+\.JPE?G", "validation": r"ILSVRC2012_val_(\d{8})\.JPE?G"}
_CLASS = re.compile(r"n\d{8}")


def validation_synsets() -> list[str]:
    """The class of each validation picture, by its number less 1."""
    return published_file("validation_labels.txt").read_text().split()


def list_source(source: Path, validation: Sequence[str]) -> Listing:
    """All that can be known of a source without reading a picture. `validation` holds the class of each number.

    A class folder may be a link to a folder, on another disk say; a picture that is a link is bad. Raises Failure(DATA):
    incomplete archives, classes that do not exist, two pictures of one name.
    """
    listing, labels = Listing(PUBLISHED), {synset: label for label, synset in enumerate(synsets())}
    for split in PUBLISHED:
        for name, folder, item in _entries(source, split, listing, labels):
            _add(listing, split, name, folder, item, labels, validation)
        listing.sort(split)
    return listing


def check_complete(listing: Listing, allow_partial: bool) -> list[str]:
    """Lines on how much of each split is there. Raises Failure(DATA) where it is not all, unless that is allowed."""
    wanted = {split: f"{name}, or the folder {FOLDERS[split]}" for split, (name, _) in ARCHIVES.items()}
    return listings.check_complete(listing, synsets(), NOUN, wanted, allow_partial)


def num_shards(split: str, num_pictures: int) -> int:
    """As many as TFDS makes; of a subset its share."""
    return share(SHARDS[split], num_pictures, PUBLISHED[split])


def convert(item: Item, data: bytes) -> Example:
    """The record of one picture, as TFDS writes it; raises BadFile."""
    jpeg, warnings = pictures.as_jpeg(data)
    return Example(record({"image": jpeg, "label": item.label, "file_name": item.key.encode()}), warnings)


def features() -> Any:
    """TFDS's own features of the data set."""
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=synsets()),
            "file_name": tfds.features.Text(),
        }
    )


def _entries(source: Path, split: str, listing: Listing, labels: dict[str, int]) -> Iterator[tuple[str, str, Item]]:
    """Every file of a split: its name in the source, the class folder it is in or "", and the file without label."""
    name, published = ARCHIVES[split]
    if (source / name).exists():
        with Archive((source / name).resolve(), published) as archive:
            for member in archive.members():
                base = member.name.rpartition("/")[2]
                if split == "train" and _CLASS.fullmatch(base.removesuffix(".tar")) and base.endswith(".tar"):
                    synset = base.removesuffix(".tar")
                    _check_class(synset, labels, f"{name}, {member.name}")
                    inner = archive.members(member)
                elif split == "train":
                    listing.ignored.append(f"{name}, {member.name}")
                    continue
                else:
                    synset, inner = "", iter([member])
                for picture in inner:
                    yield picture.name, synset, Item("", 0, str(archive.path), picture.offset, picture.size, archive.stamp)
            archive.check_unchanged()
        return
    folder = source / FOLDERS[split]
    for entry in scan(folder) if folder.is_dir() else ():
        path, synset = f"{FOLDERS[split]}/{entry.name}", entry.name if _CLASS.fullmatch(entry.name) else ""
        if synset and is_folder(entry):
            _check_class(synset, labels, entry.path)
            files = {f"{path}/{file.name}": file for file in scan(Path(entry.path))}
        elif synset and entry.is_symlink():
            listing.bad.append(BadEntry(split, synset, "not-a-regular-file", "is a link that leads to no folder"))
            continue
        elif split == "validation":
            files = {path: entry}
        else:
            listing.ignored.append(path)
            continue
        for name, file in files.items():
            yield name, synset, file_item(file)


def _check_class(synset: str, labels: dict[str, int], where: str) -> None:
    if synset not in labels:
        raise Failure(Code.DATA, f"unknown class {synset}", where, expected="one of the 1,000 of ILSVRC2012")


def _add(
    listing: Listing, split: str, name: str, synset: str, item: Item, labels: dict[str, int], validation: Sequence[str]
) -> None:
    """Puts one file where it belongs: among the items, the bad or the ignored."""
    key = name.rpartition("/")[2]
    shown = name.encode("utf-8", "backslashreplace").decode()
    matched = re.fullmatch(_NAMES[split], key, re.IGNORECASE)
    if not matched:
        if shown != name:
            listing.bad.append(BadEntry(split, shown, "name-not-utf8", "its name is not UTF-8"))
        else:
            listing.ignored.append(name)
        return
    if item.size < 0:
        listing.bad.append(BadEntry(split, key, "not-a-regular-file", "is a link, a pipe or a device"))
        return
    if split == "validation":
        number = int(matched[1])
        if not 1 <= number <= len(validation):
            raise Failure(Code.DATA, f"validation picture {key}", expected=f"a number from 1 to {len(validation):,}")
        label = validation[number - 1]
        if synset not in ("", label):
            what = f"validation picture {key} is in folder {synset}"
            raise Failure(Code.DATA, what, expected=label, hint="--validation_labels=FILE, if that is on purpose")
    else:
        label = matched[1].lower()
        if label != synset:
            listing.bad.append(BadEntry(split, key, "wrong-class", f"is in folder {synset}"))
            return
    listing.items[split].append(item._replace(key=key, label=labels[label]))
