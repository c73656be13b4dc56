"""What is found of ImageNet in archives and class folders, and what is said of what is not right in them."""

import contextlib
import os
import socket
import stat

import pytest

from perceiver_jax.data.preparation import imagenet2012
from perceiver_jax.errors import Code, Failure
from tests.data.preparation.archives import (
    CLASSES,
    tar,
    train_pictures,
    validation_pictures,
    write_archives,
    write_folders,
)

NUMBERS = imagenet2012.validation_synsets()
SYNSETS = imagenet2012.synsets()


def listing_of(source):
    return imagenet2012.list_source(source, NUMBERS)


def contents(listing):
    """What the items of each split hold: label and bytes by key."""
    found = {}
    for split, items in listing.items.items():
        found[split] = {}
        for item in items:
            with open(item.path, "rb") as file:
                file.seek(item.offset)
                found[split][item.key] = (SYNSETS[item.label], file.read(item.size))
    return found


def expected():
    train = {name: (name[:9], data) for name, data in train_pictures().items()}
    validation = {name: (NUMBERS[i], data) for i, (name, data) in enumerate(validation_pictures().items())}
    return {"train": train, "validation": validation}


def refusal(source):
    with pytest.raises(Failure) as failure:
        imagenet2012.check_complete(listing_of(source), allow_partial=True)
    assert failure.value.code == Code.DATA
    return str(failure.value)


@pytest.mark.parametrize(
    "write",
    [write_archives, write_folders, lambda folder: write_folders(folder, flat=False)],
    ids=["archives", "folders", "folders, validation by class"],
)
def test_every_layout_gives_the_same_pictures_and_labels(tmp_path, write):
    assert contents(listing_of(write(tmp_path / "source"))) == expected()


def test_archives_packed_with_a_dot_or_in_a_folder_give_the_same(tmp_path):
    write_archives(tmp_path)
    packed = {f"./val/{name}": data for name, data in validation_pictures().items()}
    (tmp_path / "ILSVRC2012_img_val.tar").write_bytes(tar(packed))
    assert contents(listing_of(tmp_path)) == expected()


def test_a_missing_validation_picture_changes_no_other_label(tmp_path):
    pictures = validation_pictures()
    del pictures["ILSVRC2012_val_00000003.JPEG"]
    write_archives(tmp_path, validation=pictures)
    found = contents(listing_of(tmp_path))["validation"]
    assert found == {name: entry for name, entry in expected()["validation"].items() if name in pictures}
    assert len(found) == 8


def test_labels_are_the_published_ones():
    assert (len(SYNSETS), SYNSETS[0], SYNSETS[999]) == (1000, "n01440764", "n15075141")
    assert tuple(sorted(SYNSETS)) == SYNSETS
    assert len(NUMBERS) == 50_000
    assert {synset: NUMBERS.count(synset) for synset in CLASSES} == dict.fromkeys(CLASSES, 50)


def test_what_is_not_a_picture_by_its_name_is_ignored_and_listed(tmp_path):
    write_folders(tmp_path)
    files = [
        "train/readme.txt",
        "train/n01440764/.hidden",
        "train/n01440764/Thumbs.db",
        "train/n01440764/._n01440764_1.JPEG",
    ]
    for name in files:
        (tmp_path / name).touch()
    (tmp_path / "val/nested").mkdir()
    listing = listing_of(tmp_path)
    assert sorted(listing.ignored) == sorted([*files, "val/nested"])
    assert contents(listing) == expected()


def link_out(place):
    place.symlink_to("/etc/hostname")


def link_to_itself(place):
    place.symlink_to(place)


def make_socket(place):
    with contextlib.chdir(place.parent), socket.socket(socket.AF_UNIX) as server:  # its whole path may be too long
        server.bind(place.name)


def make_device(place):
    try:
        os.mknod(place, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("needs the right to make devices")


@pytest.mark.parametrize("make", [link_out, link_to_itself, os.mkfifo, os.mkdir, make_socket, make_device])
@pytest.mark.parametrize("name", ["train/n01440764/n01440764_99.JPEG", "val/ILSVRC2012_val_00000099.JPEG"])
def test_what_is_not_a_regular_file_is_bad(tmp_path, make, name):
    write_folders(tmp_path)
    make(tmp_path / name)
    listing = listing_of(tmp_path)
    assert [(bad.key, bad.code) for bad in listing.bad] == [(name.rpartition("/")[2], "not-a-regular-file")]
    assert contents(listing) == expected()


@pytest.mark.parametrize("flat", [True, False], ids=["flat validation", "validation by class"])
def test_class_folders_may_be_links_to_folders(tmp_path, flat):
    write_folders(tmp_path / "source", flat)
    (tmp_path / "disk").mkdir()
    for number, folder in enumerate(sorted((tmp_path / "source").glob("*/n*"))):
        folder.rename(tmp_path / f"disk/{number}")
        folder.symlink_to(tmp_path / f"disk/{number}")
    assert contents(listing_of(tmp_path / "source")) == expected()


def link_to_nothing(place):
    place.symlink_to(place.parent / "nothing")


@pytest.mark.parametrize("make", [link_to_itself, link_to_nothing, link_out])
@pytest.mark.parametrize("split", ["train", "val"])
def test_a_class_folder_that_is_a_link_to_no_folder_is_bad(tmp_path, make, split):
    write_folders(tmp_path)
    make(tmp_path / split / "n01491361")
    listing = listing_of(tmp_path)
    (bad,) = listing.bad
    assert (bad.key, bad.code, bad.sentence) == ("n01491361", "not-a-regular-file", "is a link that leads to no folder")
    assert contents(listing) == expected()


@pytest.mark.parametrize("place", ["train/loop", "train/loop.JPEG", "val/loop"])
def test_a_link_to_itself_beside_the_classes_is_ignored(tmp_path, place):
    write_folders(tmp_path)
    link_to_itself(tmp_path / place)
    listing = listing_of(tmp_path)
    assert (listing.bad, listing.ignored) == ([], [place])


def test_an_empty_class_folder_is_reported_as_a_missing_class(tmp_path, monkeypatch):
    write_folders(tmp_path)
    (tmp_path / "train/n01491361").mkdir()
    listing = listing_of(tmp_path)
    monkeypatch.setattr(imagenet2012, "synsets", lambda: [*CLASSES, "n01491361"])
    listing.published = {"train": 15, "validation": 9}
    with pytest.raises(Failure) as failure:
        imagenet2012.check_complete(listing, allow_partial=False)
    assert failure.value.what == "3 of 4 classes in train; missing n01491361"


def test_a_name_that_is_not_utf8_is_bad(tmp_path):
    write_folders(tmp_path)
    with open(os.fsencode(tmp_path / "train/n01440764") + b"/n01440764_\xff.JPEG", "wb"):
        pass
    (bad,) = listing_of(tmp_path).bad
    assert (bad.key, bad.code) == (r"train/n01440764/n01440764_\udcff.JPEG", "name-not-utf8")


def test_a_picture_in_the_folder_of_another_class_is_bad(tmp_path):
    write_folders(tmp_path)
    (tmp_path / "train/n01440764/n01443537_99.JPEG").write_bytes(b"x")
    (bad,) = listing_of(tmp_path).bad
    assert (bad.key, bad.code, bad.sentence) == ("n01443537_99.JPEG", "wrong-class", "is in folder n01440764")


def test_two_pictures_of_one_name_are_refused(tmp_path):
    write_folders(tmp_path)
    (tmp_path / "train/n01440764/N01440764_1.jpeg").write_bytes(b"x")
    assert refusal(tmp_path).startswith("error[3] duplicate key n01440764_1.JPEG: ")


def rename(before, after):
    return lambda source: os.rename(source / before, source / after)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename("train/n01440764", "train/n99999999"), "unknown class n99999999: {source}/train/n99999999"),
        (rename("train", "training"), "no pictures for train"),
        (rename("val", "validation"), "no pictures for validation"),
        (
            rename("val/ILSVRC2012_val_00000001.JPEG", "val/ILSVRC2012_val_00050001.JPEG"),
            "validation picture ILSVRC2012_val_00050001.JPEG",
        ),
        (
            rename("val/ILSVRC2012_val_00000001.JPEG", "val/ILSVRC2012_val_00000000.JPEG"),
            "validation picture ILSVRC2012_val_00000000.JPEG",
        ),
    ],
)
def test_what_cannot_be_labelled_is_refused(tmp_path, change, message):
    write_folders(tmp_path)
    change(tmp_path)
    assert refusal(tmp_path).partition("\n")[0] == f"error[3] {message.format(source=tmp_path)}"


def test_a_validation_picture_under_another_class_is_refused(tmp_path):
    write_folders(tmp_path, flat=False)
    os.rename(tmp_path / "val" / NUMBERS[0], tmp_path / "val" / SYNSETS[999])
    picture = "ILSVRC2012_val_00000001.JPEG"
    message = f"error[3] validation picture {picture} is in folder {SYNSETS[999]}\n  expected: {NUMBERS[0]}"
    assert refusal(tmp_path).startswith(message)


def test_an_inner_archive_that_is_cut_off_is_named(tmp_path):
    write_archives(tmp_path)
    inner = tar({"n01440764_1.JPEG": b"x" * 2000})
    (tmp_path / "ILSVRC2012_img_train.tar").write_bytes(tar({"n01440764.tar": inner[:1500]}))
    assert refusal(tmp_path).startswith("error[3] ILSVRC2012_img_train.tar, n01440764.tar: ends early at 2,012")


def test_a_download_that_stopped_is_reported_with_the_published_size(tmp_path):
    write_archives(tmp_path)
    path = tmp_path / "ILSVRC2012_img_train.tar"
    path.write_bytes(path.read_bytes()[:20_000])
    message = "error[3] ILSVRC2012_img_train.tar: ends early at 20,000 of 147,897,477,120 bytes\n  try: download it again"
    assert refusal(tmp_path) == message


def test_a_subset_is_reported_and_refused_unless_allowed(tmp_path):
    listing = listing_of(write_archives(tmp_path))
    assert imagenet2012.check_complete(listing, allow_partial=True) == [
        "train: 3 of 1,000 classes, 15 of 1,281,167 pictures",
        "validation: 9 of 1,000 classes, 9 of 50,000 pictures",
    ]
    with pytest.raises(Failure) as failure:
        imagenet2012.check_complete(listing, allow_partial=False)
    assert failure.value.what == (
        "3 of 1000 classes in train; missing n01491361, n01494475, n01496331, n01498041, n01514668, ..."
    )
    assert listing.partial


def test_a_picture_too_few_is_refused(tmp_path, monkeypatch):
    listing = listing_of(write_archives(tmp_path))
    monkeypatch.setattr(imagenet2012, "synsets", lambda: list(CLASSES))
    listing.published = {"train": 16, "validation": 9}
    with pytest.raises(Failure) as failure:
        imagenet2012.check_complete(listing, allow_partial=False)
    assert (failure.value.what, failure.value.expected) == ("15 pictures in train", "16")


def test_the_whole_data_set_has_the_shards_of_tfds():
    assert {split: imagenet2012.num_shards(split, size) for split, size in imagenet2012.PUBLISHED.items()} == {
        "train": 1024,
        "validation": 64,
    }
    assert imagenet2012.num_shards("train", 1) == 1
