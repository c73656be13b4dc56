"""Labels from a CSV file: what its lines may look like, how splits come about, what is refused and in which words."""

import hashlib
import time
import unicodedata

import pytest

from perceiver_jax.data import label_list
from perceiver_jax.data.sources.image_folder import PICTURES, Config, ImageFolder
from perceiver_jax.errors import Code, Failure
from tests.problems import BATCHES

FOUR = ("train/a.jpg", "train/b.jpg", "test/a.jpg", "test/b.jpg")


@pytest.fixture(autouse=True)
def _fresh():
    label_list.list_files.cache_clear()


def write(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def listing(folder, text, test_percent=50.0):
    """What a folder holds by a list of this text."""
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "labels.csv").write_bytes(data)
    return label_list.list_files(folder, "labels.csv", test_percent, PICTURES)


def labels(found):
    """The names of the classes of each file."""
    return {
        name: {found.classes[number] for number in numbers} for files in found.splits.values() for name, numbers in files
    }


def refusal(folder, text, test_percent=50.0):
    with pytest.raises(Failure) as failure:
        listing(folder, text, test_percent)
    assert failure.value.code == Code.DATA
    return str(failure.value).removeprefix("error[3] ")


# Lines


def test_a_line_is_a_file_and_its_labels(tmp_path):
    write(tmp_path, *FOUR)
    found = listing(tmp_path, "train/a.jpg,cat;dog\ntrain/b.jpg,dog\ntest/a.jpg,cat\ntest/b.jpg,cat;dog;cat\n")
    assert labels(found) == {
        "train/a.jpg": {"cat", "dog"},
        "train/b.jpg": {"dog"},
        "test/a.jpg": {"cat"},
        "test/b.jpg": {"cat", "dog"},
    }


PLAIN = "train/a.jpg,cat\ntrain/b.jpg,dog\ntest/a.jpg,cat\ntest/b.jpg,dog\n"
HEADED = "file,labels\n" + PLAIN
SAME = {
    "heading": HEADED,
    "heading by another name": "Filename,what\n" + PLAIN,
    "heading in two words": "Image Path,Class Name\n" + PLAIN,
    "heading after empty lines": "\n \n" + HEADED,
    "byte order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "byte order mark and heading": b"\xef\xbb\xbffile,label\n" + PLAIN.encode(),
    "UTF-16 as Excel writes it": b"\xff\xfe" + HEADED.replace(",", "\t").replace("\n", "\r\n").encode("utf-16-le"),
    "UTF-16 of the other order": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "Windows' line ends": PLAIN.replace("\n", "\r\n"),
    "old Macs' line ends": HEADED.replace("\n", "\r"),
    "empty lines": PLAIN.replace("\n", "\n\n"),
    "blank lines": PLAIN.replace("\n", "\n , \n"),
    "no last line end": PLAIN.rstrip(),
    "spaces": PLAIN.replace(",", " , "),
    "tabs": PLAIN.replace(",", "\t"),
    "tabs and heading": HEADED.replace(",", "\t"),
    "semicolons": PLAIN.replace(",", ";"),
    "semicolons and heading": HEADED.replace(",", ";"),
    "Excel's remark": "sep=;\r\n" + PLAIN.replace(",", ";"),
    "quotes": PLAIN.replace("train/a.jpg", '"train/a.jpg"').replace("dog", '"dog"'),
    "quotes after spaces": PLAIN.replace(",cat", ', "cat"'),
    "dots in paths": PLAIN.replace("train/", "./train//"),
    "Windows' paths": PLAIN.replace("train/", ".\\train\\"),
    "another order": "".join(reversed(PLAIN.splitlines(keepends=True))),
    "a label twice": PLAIN.replace("cat", "cat; cat ;"),
    "columns that were in use": PLAIN.replace("\n", ",,\n"),
    "labels first": "label,file\n" + "".join(",".join(reversed(line.split(","))) + "\n" for line in PLAIN.splitlines()),
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_what_means_the_same_gives_the_same(text, tmp_path):
    write(tmp_path, *FOUR)
    expected = listing(tmp_path, PLAIN)
    label_list.list_files.cache_clear()
    assert listing(tmp_path, text) == expected


def test_a_quoted_name_may_have_a_comma(tmp_path):
    write(tmp_path, "train/a, b.jpg", "test/c.jpg")
    found = listing(tmp_path, '"train/a, b.jpg",cat\ntest/c.jpg,"cat, black;dog"\n')
    assert labels(found) == {"train/a, b.jpg": {"cat"}, "test/c.jpg": {"cat, black", "dog"}}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_several_labels_go_with_every_separator_of_columns(separator, tmp_path):
    write(tmp_path, *FOUR)
    text = PLAIN.replace(",", separator).replace(f"a.jpg{separator}cat", f"a.jpg{separator}cat;dog")
    expected = listing(tmp_path, PLAIN.replace("a.jpg,cat", "a.jpg,cat;dog"))
    label_list.list_files.cache_clear()
    assert listing(tmp_path, text) == expected
    label_list.list_files.cache_clear()
    assert listing(tmp_path, text.replace("cat;dog", '"cat;dog"')) == expected


def test_further_columns_under_headings_are_left_out_and_told(tmp_path, capsys):
    write(tmp_path, *FOUR)
    expected = listing(tmp_path, PLAIN)
    label_list.list_files.cache_clear()
    rows = "".join(f"{i},{line},{i * 5}\n" for i, line in enumerate(PLAIN.splitlines()))
    assert listing(tmp_path, ",file,label,size\n" + rows) == expected
    assert capsys.readouterr().err == f"{tmp_path}/labels.csv: not read: columns , size\n"


@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_letters_may_be_stored_otherwise_than_on_disk(listed, stored, tmp_path):
    there, named = (unicodedata.normalize(form, "train/é/ü.jpg") for form in (stored, listed))
    write(tmp_path, there, "test/a.jpg")
    found = listing(tmp_path, f"{named},{unicodedata.normalize(listed, 'façade')}\ntest/a.jpg,b\n")
    assert labels(found)[there] == {unicodedata.normalize("NFC", "façade")}


def test_a_name_may_have_a_backslash_where_there_is_such_a_file(tmp_path):
    write(tmp_path, "train/a\\b.jpg", "test/a.jpg")
    assert labels(listing(tmp_path, "train/a\\b.jpg,cat\ntest/a.jpg,cat\n")).keys() == {"train/a\\b.jpg", "test/a.jpg"}


def test_files_behind_links_are_found(tmp_path):
    write(tmp_path, "far/a.jpg", "data/test/b.jpg")
    (tmp_path / "data/train").symlink_to(tmp_path / "far")
    assert labels(listing(tmp_path / "data", "train/a.jpg,cat\ntest/b.jpg,cat\n")).keys() == {"train/a.jpg", "test/b.jpg"}


def test_a_file_may_have_no_label(tmp_path):
    write(tmp_path, *FOUR)
    found = listing(tmp_path, PLAIN.replace("train/a.jpg,cat", "train/a.jpg,"))
    assert labels(found)["train/a.jpg"] == set()


def test_classes_are_numbered_in_the_order_of_their_names(tmp_path):
    write(tmp_path, *FOUR)
    found = listing(tmp_path, "train/a.jpg,zebra;Cat\ntrain/b.jpg,ant\ntest/a.jpg,ant\ntest/b.jpg,Cat\n")
    assert found.classes == ("Cat", "ant", "zebra")
    assert dict(found.splits["train"])["train/a.jpg"] == (0, 2)


# Splits


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "test"), ("train", "val"), ("train", "validation"), ("TRAIN", "valid"), ("training_set", "Test")],
)
def test_folders_train_and_test_are_the_splits(train, test, tmp_path):
    write(tmp_path, f"{train}/a.jpg", f"{train}/deep/er/b.jpg", f"{test}/a.jpg")
    found = listing(tmp_path, f"{train}/a.jpg,cat\n{train}/deep/er/b.jpg,cat\n{test}/a.jpg,cat\n")
    names = {split: {name for name, _ in files} for split, files in found.splits.items()}
    assert names == {"train": {f"{train}/a.jpg", f"{train}/deep/er/b.jpg"}, "test": {f"{test}/a.jpg"}}


def test_files_of_further_splits_are_left_out_and_told(tmp_path, capsys):
    write(tmp_path, *FOUR, "val/a.jpg", "val/b.jpg")
    found = listing(tmp_path, PLAIN + "val/a.jpg,cat\nval/b.jpg,cat\n")
    assert labels(found).keys() == set(FOUR)
    assert capsys.readouterr().err == f"{tmp_path}/labels.csv: left out 2 pictures in val, beside test and train\n"


def split_of(folder, names, test_percent):
    """The files of a folder that are held out."""
    label_list.list_files.cache_clear()
    found = listing(folder, "".join(f"{name},cat\n" for name in names), test_percent)
    assert sorted(name for files in found.splits.values() for name, _ in files) == sorted(names)
    return {name for name, _ in found.splits["test"]}


def test_without_such_folders_a_hash_of_each_name_decides(tmp_path):
    names = [f"{i}.jpg" for i in range(200)]
    write(tmp_path, *names)
    held_out = split_of(tmp_path, names, 25.0)
    assert held_out == {n for n in names if hashlib.sha256(n.encode()).digest()[0] < 64}
    assert 30 < len(held_out) < 70
    assert split_of(tmp_path, names[:100], 25.0) == held_out & set(names[:100])
    assert held_out < split_of(tmp_path, names, 50.0)


def test_a_file_beside_the_folders_makes_all_be_split_by_their_names(tmp_path):
    names = [f"{split}/{i}.jpg" for split in ("train", "test") for i in range(40)]
    write(tmp_path, *names, "one.jpg")
    held_out = split_of(tmp_path, [*names, "one.jpg"], 50.0)
    assert {name.partition("/")[0] for name in held_out} >= {"train", "test"}


def test_files_are_mixed_the_same_way_whatever_their_order_in_the_list(tmp_path):
    names = [f"{split}/{i}.jpg" for split in ("train", "test") for i in range(20)]
    write(tmp_path, *names)
    found = listing(tmp_path, "".join(f"{name},cat\n" for name in names))
    order = [name for name, _ in found.splits["train"]]
    assert order != sorted(order)
    assert order == sorted(order, key=lambda name: hashlib.sha256(name.encode()).digest())


# What is reported


def test_files_that_are_not_listed_are_left_out_and_reported(tmp_path, capsys):
    write(tmp_path, *FOUR, "train/c.jpg", "d.PNG", ".hidden/e.jpg", ".f.jpg", "notes.txt")
    listing(tmp_path, PLAIN)
    assert capsys.readouterr().err == f"{tmp_path}: left out 2 pictures that labels.csv does not list\n"


def test_a_list_of_all_files_says_nothing(tmp_path, capsys):
    write(tmp_path, *FOUR)
    listing(tmp_path, PLAIN)
    assert capsys.readouterr().err == ""


def test_a_class_without_a_training_example_is_reported(tmp_path, capsys):
    write(tmp_path, *FOUR)
    found = listing(tmp_path, PLAIN.replace("test/a.jpg,cat", "test/a.jpg,cat;emu"))
    assert found.classes == ("cat", "dog", "emu")
    assert capsys.readouterr().err == f"{tmp_path}/labels.csv: no training example of emu\n"


# What is refused

LINES = "\n  expected: lines `file,label;label`"
REFUSED = {
    "unknown file": ("train/a.jpg,cat\ntrain/x.jpg,cat\n", "{list} line 2: train/x.jpg not found"),
    "folder": ("train/a.jpg,cat\nsome.jpg,cat\n", "{list} line 2: some.jpg not found"),
    "file twice": (
        "file,label\ntrain/a.jpg,cat\n./train/a.jpg,dog\n",
        "{list} line 3: ./train/a.jpg is listed twice\n  try: one line with its labels, between ;",
    ),
    "outside": ("../a.jpg,cat\n", "{list} line 1\n  found: ../a.jpg\n  expected: a path inside the folder of the list"),
    "outside within": (
        "train/../../a.jpg,cat\n",
        "{list} line 1\n  found: train/../../a.jpg\n  expected: a path inside the folder of the list",
    ),
    "absolute": ("/a.jpg,cat\n", "{list} line 1\n  found: /a.jpg\n  expected: a path inside the folder of the list"),
    "suffix": ("train/a.txt,cat\n", "{list} line 1\n  found: train/a.txt\n  expected: " + PICTURES.files),
    "no name": ("train/a.jpg,cat\n,dog\n", "{list} line 2\n  found: no name of a file\n  expected: " + PICTURES.files),
    "no suffix": (
        "train/a,cat\n",
        f"{{list}} line 1\n  found: train/a\n  expected: {PICTURES.files}\n"
        "  try: the name with its suffix: test/a.jpg, train/a.jpg",
    ),
    "Windows' absolute path": (
        "C:\\a.jpg,cat\n",
        "{list} line 1\n  found: C:\\a.jpg\n  expected: a path inside the folder of the list",
    ),
    "one column": ("train/a.jpg\n", "{list} line 1\n  found: 1 column\n  expected: `file,label;label`"),
    "another folder": (
        "file,label\ntest/a.jpg,cat\nb.jpg,cat\n",
        "{list} line 3: b.jpg not found\n  try: its path from the folder of the list: test/b.jpg, train/b.jpg",
    ),
    "another case": (
        "Train/A.jpg,cat\n",
        "{list} line 1: Train/A.jpg not found\n  try: its path from the folder of the list: test/a.jpg, train/a.jpg",
    ),
    "columns as headings": (
        "file,label,size\ntrain/a.jpg,cat,3\ntrain/b.jpg,dog\n",
        "{list} line 3\n  found: 2 columns\n  expected: 3 columns, as the headings have",
    ),
    "an open quote": (
        'train/a.jpg,cat\n"train/b.jpg,dog\ntest/a.jpg,cat\n',
        "{list} line 2\n  found: a quote that is not closed on its line\n  expected: `file,label;label`",
    ),
    "a spreadsheet": (
        b"PK\3\4 and so on",
        "the list of labels is a spreadsheet or an archive, not text: {list}"
        "\n  try: save the list as text in UTF-8: in Excel, CSV UTF-8",
    ),
    "Latin-1": (
        b"train/a.jpg,cat\r\ntrain/b.jpg,caf\xe9\r\n",
        "cannot read the list of labels: {list} line 2\n  found: byte 0xe9, perhaps of train/b.jpg,café\n"
        "  expected: text in UTF-8\n  try: save the list as text in UTF-8: in Excel, CSV UTF-8",
    ),
    "half of UTF-16": (
        b"\xff\xfe" + PLAIN.encode("utf-16-le")[:-1],
        "cannot read the list of labels: {list} line 4\n  found: truncated data\n"
        "  expected: text in UTF-16, as its first bytes say\n  try: save the list as text in UTF-8: in Excel, CSV UTF-8",
    ),
    "three columns": ("train/a.jpg,cat,dog\n", "{list} line 1\n  found: 3 columns\n  expected: `file,label;label`"),
    "no label at all": ("train/a.jpg,\ntest/a.jpg,;\n", "no file has a label: {list}\n  expected: `file,label;label`"),
    "empty": ("", "the list of labels is empty: {list}" + LINES),
    "heading alone": ("file,label\n", "the list of labels is empty: {list}" + LINES),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_a_list_that_is_wrong_is_refused_with_its_line(text, message, tmp_path):
    write(tmp_path, *FOUR)
    (tmp_path / "some.jpg").mkdir()
    assert refusal(tmp_path, text) == message.format(list=tmp_path / "labels.csv")


@pytest.mark.parametrize(("percent", "split", "change"), [(1e-6, "test", "larger"), (99.999999, "train", "smaller")])
def test_a_split_without_a_file_is_refused_with_the_setting_to_change(percent, split, change, tmp_path):
    write(tmp_path, *FOUR)
    reported = f"has no {split} pictures: {tmp_path}/labels.csv\n  try: a {change} data.test_percent"
    assert refusal(tmp_path, "train/a.jpg,cat\ntrain/b.jpg,cat\n", percent) == reported


def test_an_absent_list_is_named(tmp_path):
    with pytest.raises(Failure) as failure:
        label_list.list_files(tmp_path, "labels.csv", 50.0, PICTURES)
    assert str(failure.value) == f"error[3] the list of labels does not exist: {tmp_path}/labels.csv{LINES}"


def test_lists_of_another_name_are_offered(tmp_path):
    (tmp_path / "mine.tsv").write_text(PLAIN)
    with pytest.raises(Failure) as failure:
        label_list.list_files(tmp_path, "labels.csv", 50.0, PICTURES)
    assert str(failure.value).endswith(f"\n  found: beside it are mine.tsv{LINES}\n  try: --config.data.labels=mine.tsv")


def test_labels_that_differ_in_case_are_told(tmp_path, capsys):
    write(tmp_path, *FOUR)
    listing(tmp_path, PLAIN.replace("train/b.jpg,dog", "train/b.jpg,dog;Cat"))
    assert capsys.readouterr().err == f"{tmp_path}/labels.csv: labels differ only in case: Cat, cat\n"


def test_a_long_list_is_read_quickly(tmp_path):
    names = [f"{i % 10}/{i}.jpg" for i in range(2_000)]
    write(tmp_path, *names)
    text = "".join(f"{name},{i % 7}\n" for i, name in enumerate(names))
    start = time.process_time()
    assert sum(listing(tmp_path, text).num_examples.values()) == 2_000
    assert time.process_time() - start < 0.5  # 1e5 files take fifty times what this does, about a second


# As a source


def test_a_source_has_the_examples_and_classes_of_its_list(tmp_path):
    write(tmp_path, *FOUR)
    (tmp_path / "labels.csv").write_text(PLAIN.replace("train/a.jpg,cat", "train/a.jpg,dog;cat"))
    folder = {"kind": "image_folder", "data_dir": str(tmp_path), "image_size": 8, "labels": "labels.csv"}
    source = ImageFolder(Config(**folder, test_percent=50.0, max_bad=0, **BATCHES))
    train = source.load("train")
    assert {train.file(i): train[i].labels for i in range(2)} == {"train/a.jpg": (0, 1), "train/b.jpg": (1,)}
    assert (source.contents().classes, source.contents().num_examples) == (("cat", "dog"), {"train": 2, "test": 2})


def test_the_identity_changes_with_the_labels(tmp_path):
    write(tmp_path, *FOUR)
    before = listing(tmp_path, PLAIN).identity
    label_list.list_files.cache_clear()
    assert listing(tmp_path, PLAIN.replace("train/a.jpg,cat", "train/a.jpg,cat;dog")).identity != before
