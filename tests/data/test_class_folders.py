"""Class folders as users have them: layouts, names, links, what is left out, what is refused, and in which words."""

import os
import time
import unicodedata

import pytest

from perceiver_jax.data import class_folders
from perceiver_jax.data.folder_entries import Kind
from perceiver_jax.errors import Code, Failure

KIND = Kind((".jpg", ".png"), "pictures", "JPEG or PNG files", "*.jpg")
LAYOUT = "\n  expected: train/CLASS/*.jpg with test/CLASS/*.jpg, or CLASS/*.jpg"
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


@pytest.fixture(autouse=True)
def _fresh():
    class_folders.list_folder.cache_clear()


def write(folder, *names):
    for name in names:
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not name.endswith(b"/" if isinstance(name, bytes) else "/"):
            with open(path, "wb") as file:
                file.write(b"x")


def listing(root, test_percent=50.0):
    class_folders.list_folder.cache_clear()
    return class_folders.list_folder(root, test_percent, KIND)


def listed(root, test_percent=50.0):
    """The names and class of each split's files."""
    found = listing(root, test_percent)
    return {
        split: sorted((name, found.classes[number]) for name, (number,) in files) for split, files in found.splits.items()
    }


def refusal(root):
    with pytest.raises(Failure) as failure:
        listing(root)
    assert failure.value.code == Code.DATA
    return str(failure.value).removeprefix("error[3] ")


# Splits


@pytest.mark.parametrize(
    ("train", "test"),
    [
        *(("train", test) for test in ("test", "val", "valid", "validation", "testing")),
        *(("Train", "TEST"), ("training", "testing"), ("training_set", "test_set"), ("Training Set", "Validation-Set")),
        *(("trainset", "valset"), ("train_data", "test_data")),
    ],
)
def test_two_folders_of_folders_are_the_splits(train, test, tmp_path, capsys):
    write(tmp_path, f"{train}/dog/b.PNG", f"{train}/cat/a.jpg", f"{test}/dog/a.jpg", "README.md")
    assert listed(tmp_path) == {
        "train": [(f"{train}/cat/a.jpg", "cat"), (f"{train}/dog/b.PNG", "dog")],
        "test": [(f"{test}/dog/a.jpg", "dog")],
    }
    assert capsys.readouterr().err == ""


def test_plain_class_folders_are_split_by_each_name_alone(tmp_path):
    names = [f"{label}/{i}.jpg" for label in ("cat", "dog") for i in range(200)]
    write(tmp_path, *names)
    before = listed(tmp_path, 25.0)
    assert sorted(name for split in before.values() for name, _ in split) == sorted(names)
    assert 70 < len(before["test"]) < 130
    write(tmp_path, *[f"cat/more{i}.jpg" for i in range(50)])
    after = listed(tmp_path, 25.0)
    assert all(set(before[split]) < set(after[split]) for split in before)
    assert set(after["test"]) < set(listed(tmp_path)["test"])


def test_what_is_held_out_for_validation_has_all_classes(tmp_path):
    write(tmp_path, *[f"{split}/{label}/{i}.jpg" for split in ("train", "test") for label in "abcd" for i in range(50)])
    last = listing(tmp_path).splits["train"][-40:]
    assert min(sum(labels == (one,) for _, labels in last) for one in range(4)) >= 4


def test_no_class_is_held_out_as_a_whole(tmp_path):
    names = [f"{label}/1.jpg" for label in "abcdefgh"] + [f"z/{i}.jpg" for i in range(9)]
    write(tmp_path, *names)
    found = listed(tmp_path, 99.0)
    assert {label for _, label in found["train"]} == set("abcdefghz")
    assert {label for _, label in found["test"]} == {"z"}
    assert sorted(name for split in found.values() for name, _ in split) == names


def test_a_class_may_be_called_train(tmp_path):
    write(tmp_path, *[f"{label}/{i}.jpg" for label in ("train", "car") for i in range(20)])
    assert {label for _, label in listed(tmp_path)["train"]} == {"train", "car"}


def test_further_folders_beside_the_splits_are_named_with_what_they_hold(tmp_path, capsys):
    write(tmp_path, *[f"{split}/{label}/{i}.jpg" for split in ("train", "test") for label in "ab" for i in range(2)])
    write(tmp_path, "val/a/2.jpg", "val/b/3.jpg", "val/b/4.jpg", "raw/a.zip", "raw/b.zip", "extra/", "cover.jpg", "notes.md")
    assert len(listed(tmp_path)["test"]) == 4
    assert capsys.readouterr().err == (
        f"{tmp_path}: left out 3 folders beside train and test (extra: nothing, raw: 2 .zip, val: 3 pictures),"
        " 1 picture beside train and test (cover.jpg)\n"
    )


# Names


def test_composed_and_decomposed_letters_are_one_class(tmp_path, capsys):
    write(tmp_path, f"train/{COMPOSED}/1.jpg", f"test/{DECOMPOSED}/1.jpg", "train/b/1.jpg")
    assert listed(tmp_path) == {
        "train": [("train/b/1.jpg", "b"), (f"train/{COMPOSED}/1.jpg", COMPOSED)],
        "test": [(f"test/{DECOMPOSED}/1.jpg", COMPOSED)],
    }
    assert capsys.readouterr().err == ""


def test_a_folder_is_split_alike_however_its_letters_are_stored(tmp_path):
    found = []
    for form in (COMPOSED, DECOMPOSED):
        root = tmp_path / ascii(form)[1:-1].replace("\\", "")
        write(root, *[f"{form}/{form}{i}.jpg" for i in range(30)], "b/1.jpg")
        found.append({unicodedata.normalize("NFC", name) for name, _ in listed(root)["test"]})
    assert found[0] == found[1] != set()


def test_two_class_folders_in_two_spellings_are_refused(tmp_path):
    write(tmp_path, f"{COMPOSED}/1.jpg", f"{DECOMPOSED}/1.jpg")
    assert refusal(tmp_path) == (
        f"2 folders are called {COMPOSED}: {tmp_path}\n  found: 'cafe\\u0301' and 'caf\\xe9'\n"
        "  expected: one spelling of a letter\n  try: put their files into one of them"
    )


def test_two_files_in_two_spellings_are_read_and_told(tmp_path, capsys):
    write(tmp_path, f"train/a/{COMPOSED}.jpg", f"train/a/{DECOMPOSED}.jpg", "train/b/1.jpg", "test/a/1.jpg")
    assert len(listed(tmp_path)["train"]) == 3
    assert capsys.readouterr().err == (
        f"{tmp_path}/train/a: names differ only in how a letter is stored: 'cafe\\u0301.jpg', 'caf\\xe9.jpg'; each is read\n"
    )


def test_names_that_differ_in_case_are_read_and_told(tmp_path, capsys):
    write(tmp_path, "train/Cat/1.jpg", "train/cat/1.jpg", "train/cat/1.JPG", "test/cat/1.jpg")
    assert [label for _, label in listed(tmp_path)["train"]] == ["Cat", "cat", "cat"]
    assert sorted(capsys.readouterr().err.splitlines()) == [
        f"{tmp_path}/train/cat: names differ only in case: 1.JPG, 1.jpg; each is read",
        f"{tmp_path}/train: names differ only in case: Cat, cat; each is read",
    ]


def test_of_many_notes_on_names_the_first_are_shown(tmp_path, capsys):
    write(tmp_path, *[f"{split}/{i}/{case}.jpg" for split in ("train", "test") for i in range(9) for case in "aA"])
    listing(tmp_path)
    *_, last = capsys.readouterr().err.splitlines()
    assert last == f"{tmp_path}: 13 more such notes"


def test_a_sharp_s_is_not_two(tmp_path, capsys):
    write(tmp_path, *[f"{split}/{label}/1.jpg" for split in ("train", "test") for label in ("Straße", "Strasse")])
    assert listing(tmp_path).classes == ("Strasse", "Straße")
    assert capsys.readouterr().err == ""


# Links


def test_links_to_classes_splits_and_files_are_followed(tmp_path, capsys):
    write(tmp_path, "far/cats/1.jpg", "far/2.jpg", "far/parts/dog/1.jpg", "data/train/dog/3.jpg")
    root = tmp_path / "data"
    (root / "train/cat").symlink_to(tmp_path / "far/cats")
    (root / "train/dog/2.jpg").symlink_to("../../../far/2.jpg")
    (root / "test").symlink_to(tmp_path / "far/parts")
    assert listed(root) == {
        "train": [("train/cat/1.jpg", "cat"), ("train/dog/2.jpg", "dog"), ("train/dog/3.jpg", "dog")],
        "test": [("test/dog/1.jpg", "dog")],
    }
    assert capsys.readouterr().err == ""
    before = listing(root).identity
    (tmp_path / "far/2.jpg").write_bytes(b"longer")
    assert listing(root).identity != before


def test_a_link_to_a_class_that_was_stored_as_text_is_refused_by_name(tmp_path):
    write(tmp_path, "train/dog/1.jpg", "test/dog/1.jpg", "elsewhere/1.jpg")
    (tmp_path / "train" / "cat").write_text("../elsewhere")
    assert refusal(tmp_path) == (
        f"cat is a link to a folder that was stored as text: {tmp_path}/train/cat\n  found: the path ../elsewhere\n"
        "  try: make it a link again, or put the folder itself there: ../elsewhere"
    )


def test_links_that_lead_nowhere_or_back_are_named(tmp_path, capsys):
    write(tmp_path, *[f"{split}/{label}/1.jpg" for split in ("train", "test") for label in "ab"])
    for place, target in {
        "a/gone.jpg": "gone",
        "c": "gone",
        "d": "e",
        "e": "d",
        "up": "..",
        "here": ".",
        "a/in": ".",
    }.items():
        (tmp_path / "train" / place).symlink_to(target)
    listing(tmp_path)
    assert capsys.readouterr().err == (
        f"{tmp_path}: left out 4 links that lead nowhere (train/a/gone.jpg, train/c, train/d, ...),"
        " 3 links to folders around them (train/a/in, train/here, train/up)\n"
    )


# What is left out


def test_what_is_not_a_picture_is_left_out_with_its_reason_and_reported_once(tmp_path, capsys):
    write(tmp_path, *[f"{split}/{label}/1.jpg" for split in ("train", "test") for label in ("cat", "dog")])
    write(tmp_path, "train/cat/a.heic", "train/cat/b.HEIC", "train/dog/c.txt", "train/list.csv", "train/cat/LICENSE")
    write(
        tmp_path,
        b"train/\xe4hre/1.jpg",
        "train/cat/more/3.jpg",
        "train/loose.jpg",
        b"train/cat/\xff.jpg",
        "train/cat/Thumbs.db",
        "test/empty/",
    )
    os.mkfifo(tmp_path / "train/cat/5.jpg")
    for _ in range(2):
        assert len(class_folders.list_folder(tmp_path, 50.0, KIND).splits["train"]) == 2
    (words,) = capsys.readouterr().err.splitlines()
    start = f"{tmp_path}: left out 2 .heic, "
    assert words.startswith(start)
    assert set(words.removeprefix(start).split(", ")) == {
        *("1 .txt", "1 .csv", "1 file without suffix (train/cat/LICENSE)", "1 folder inside a class (train/cat/more)"),
        *(
            "1 picture outside of the class folders (train/loose.jpg)",
            "1 file with a name that is not UTF-8 (train/cat/\\udcff.jpg)",
            "1 folder with a name that is not UTF-8 (train/\\udce4hre)",
            "1 pipe or device (train/cat/5.jpg)",
        ),
        *("1 hidden file (train/cat/Thumbs.db)", "1 folder without pictures (test/empty: nothing)"),
    }


@pytest.mark.parametrize(
    "name",
    "__MACOSX,.git,.ipynb_checkpoints,lost+found,@eaDir,System Volume Information,$RECYCLE.BIN,#recycle,__pycache__".split(
        ","
    ),
)
@pytest.mark.parametrize("place", ["", "train/"])
def test_folders_of_the_system_are_never_classes(name, place, tmp_path, capsys):
    write(tmp_path, *[f"{split}/{label}/1.jpg" for split in ("train", "test") for label in ("cat", "dog")])
    write(tmp_path, f"{place}{name}/cat/._1.jpg", f"{place}{name}/1.jpg")
    assert listing(tmp_path).classes == ("cat", "dog")
    assert capsys.readouterr().err == f"{tmp_path}: left out 1 folder of the system ({place}{name})\n"


def test_files_of_the_system_are_never_pictures(tmp_path, capsys):
    write(tmp_path, *[f"{split}/{label}/1.jpg" for split in ("train", "test") for label in ("cat", "dog")])
    write(tmp_path, *[f"train/cat/{name}" for name in (".DS_Store", "._1.jpg", "Thumbs.db", "desktop.ini")])
    assert len(listed(tmp_path)["train"]) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path}: left out 4 hidden files (train/cat/")


def test_a_single_class_is_told(tmp_path, capsys):
    write(tmp_path, "train/cat/1.jpg", "test/cat/1.jpg")
    assert listing(tmp_path).classes == ("cat",)
    assert capsys.readouterr().err == f"{tmp_path}: holds one class, cat: there is nothing to tell it from\n"


# What is refused

FILL = "\n  expected: JPEG or PNG files\n  try: "
LIST = "\n  try: a folder for each class; or a list of labels, --config.data.labels=FILE.csv in the folder"
REFUSED = {
    "absent": ([], "data.data_dir is not a directory: {root}" + LAYOUT),
    "nothing": (["x/", ".y"], "class x is empty: {root}/x" + FILL + "put its pictures there, or remove the folder"),
    "files alone": (["x.txt", "y.txt", "z"], "holds 2 .txt and 1 file without suffix and no class folders: {root}" + LAYOUT),
    "pictures alone": ([f"{i}.jpg" for i in range(4)], "holds 4 pictures and no class folders: {root}" + LAYOUT),
    "an archive": (
        ["data.zip"],
        "holds 1 .zip and no class folders: {root}" + LAYOUT
        + "\n  try: unpack the archive, and give the folder that comes out",
    ),
    "train alone": (
        ["train/cat/1.jpg", "raw/1.jpg"],
        "holds raw, train and no test, val or valid: {root}" + LAYOUT + "\n  try: --config.data.data_dir={root}/train,"
        " of which data.test_percent are held out",
    ),
    "test alone": (["val/cat/1.jpg"], "holds val and no train: {root}" + LAYOUT),
    "flat test": (
        ["train/cat/1.jpg", *(f"test/{i}.jpg" for i in range(4))],
        "test holds 4 pictures and no class folders: {root}" + LAYOUT + LIST,
    ),
    "flat train": (
        ["train/1.jpg", "test/cat/1.jpg"],
        "train holds 1 picture and no class folders: {root}" + LAYOUT + LIST,
    ),
    "both flat": (
        ["train/1.jpg", "test/1.jpg", "test/2.txt"],
        "train holds 1 picture and no class folders: {root}" + LAYOUT + LIST,
    ),
    "empty test": (["train/cat/1.jpg", "test/"], "test holds nothing and no class folders: {root}" + LAYOUT + LIST),
    "no picture in any class of test": (
        ["train/cat/1.jpg", "test/cat/1.heic"],
        "holds 1 folder and no pictures: {root}/test" + LAYOUT,
    ),
    "two of train": (
        ["train/a/1.jpg", "Training/a/1.jpg", "test/a/1.jpg"],
        "holds 2 folders to train on: train, Training: {root}" + LAYOUT + "\n  try: one of them, or all their files in one",
    ),
    "other files in a class": (
        ["train/cat/1.heic", "train/cat/2.heic", "test/cat/1.jpg"],
        "class cat holds 2 .heic and no pictures: {root}/train/cat" + FILL
        + "save them as JPEG or PNG files, or remove the folder",
    ),
    "folders in a class": (
        [f"data/{split}/cat/1.jpg" for split in ("train", "test", "val")],
        "class data holds 3 folders and no pictures: {root}/data" + FILL
        + "--config.data.data_dir={root}/data, if its folders are the classes; or pictures in the class's folder itself",
    ),
    "unknown class": (
        ["train/cat/1.jpg", "test/dog/1.jpg"],
        "class dog has 1 picture in test, but none in train: {root}\n  found: train holds cat\n"
        "  try: train on it, or remove its folder",
    ),
    "class by case": (
        ["train/DOG/1.jpg", "test/dog/1.jpg", "test/dog/2.jpg"],
        "class dog has 2 pictures in test, but none in train: {root}\n  found: train holds DOG\n"
        "  try: give its folder the name DOG, if that is the class",
    ),
    "none held out": (
        ["cat/1.jpg", "dog/1.jpg"],
        "none of 2 pictures is held out as test: {root}\n"
        "  try: more pictures in the folder of each class, or folders train and test",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("names", "message"), REFUSED.values(), ids=REFUSED)
def test_a_folder_that_is_not_a_data_set_is_refused_by_what_it_holds(names, message, tmp_path):
    root = tmp_path / "pictures"
    write(root, *names)
    assert refusal(root) == message.format(root=root)


@pytest.mark.parametrize(
    ("name", "found", "hint"),
    [
        ("cats.zip", "an archive of 1 bytes", "unpack it, and give the folder that comes out"),
        ("cats.tar.gz", "an archive of 1 bytes", "unpack it, and give the folder that comes out"),
        ("cat.jpg", "a file of 1 bytes", "its folder, {folder}"),
    ],
)
def test_a_file_in_place_of_a_folder_is_told(name, found, hint, tmp_path):
    write(tmp_path, name)
    end = f"\n  found: {found}{LAYOUT}\n  try: {hint.format(folder=tmp_path)}"
    assert refusal(tmp_path / name) == f"data.data_dir is not a directory: {tmp_path}/{name}{end}"


def test_a_folder_of_nearly_that_name_is_offered(tmp_path):
    write(tmp_path, "pictures/cat/1.jpg")
    assert refusal(tmp_path / "picture").endswith(f"\n  try: {tmp_path}/pictures")


def test_many_files_are_listed_quickly(tmp_path):
    for label in range(10):
        (tmp_path / str(label)).mkdir()
        for i in range(1000):
            os.close(os.open(tmp_path / str(label) / f"{i}.jpg", os.O_CREAT))
    start = time.process_time()
    assert sum(listing(tmp_path).num_examples.values()) == 10_000
    assert time.process_time() - start < 2  # 1e5 files take ten times what this does, about a second
