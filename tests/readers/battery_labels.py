"""The battery's record of the reader of lists of labels: four files and their labels, as programs of all kinds write them.

Right, of bytes of which one was changed, are labels of which those of one file at most are others: a list has no checksum.
Right of a cut list are its first files, of which the last may have lost labels.
"""

import atexit
import contextlib
import io
import tempfile
from pathlib import Path

from perceiver_jax.data import label_list
from perceiver_jax.data.sources.image_folder import PICTURES
from perceiver_jax.errors import Failure
from tests.readers.battery import Reader, rewrite

LABELS = {"train/a.jpg": "cat;dog", "train/b c.jpg": "dog", "test/café.jpg": "naïve cat", "test/d.jpg": ""}
ROWS = [",".join(row) + "\n" for row in LABELS.items()]
PLAIN, HEADED = "".join(ROWS), "".join(["file,labels\n", *ROWS])

_folder = tempfile.TemporaryDirectory()
atexit.register(_folder.cleanup)
ROOT = Path(_folder.name)
for file in LABELS:
    (ROOT / file).parent.mkdir(exist_ok=True)
    (ROOT / file).touch()


def read(data):
    """The labels of each file, by their names; notes go nowhere."""
    rewrite(ROOT / "labels.csv", data)
    with contextlib.redirect_stderr(io.StringIO()):
        found = label_list.list_files.__wrapped__(ROOT, "labels.csv", 50.0, PICTURES)
    return {file: {found.classes[i] for i in labels} for files in found.splits.values() for file, labels in files}


def one_other(labels, data):
    """Whether the labels of one file at most are others than in the list."""
    whole = read(PLAIN.encode())
    others = [file for file in whole if file not in labels or labels[file] != whole[file]]
    return labels.keys() <= whole.keys() and len(others) <= 1


def first_files(labels):
    """Whether these are files of the list, all but one with their labels."""
    whole = read(PLAIN.encode())
    return labels.keys() <= whole.keys() and sum(labels[file] != whole[file] for file in labels) <= 1


def forms():
    """The same list."""
    texts = {
        "plain": PLAIN,
        "heading": HEADED,
        "heading in other words": HEADED.replace("file,labels", "Image Name,Class"),
        "labels first": "label,path\n" + "".join(",".join(reversed(row.strip().split(","))) + "\n" for row in ROWS),
        "further columns": "id,file,label\n" + "".join(f"{i},{row}" for i, row in enumerate(ROWS)),
        "CRLF": HEADED.replace("\n", "\r\n"),
        "CR": HEADED.replace("\n", "\r"),
        "blank lines": "\n" + HEADED.replace("\n", "\n\n , \n"),
        "no last line end": PLAIN.rstrip("\n"),
        "tabs": PLAIN.replace(",", "\t"),
        "semicolons": HEADED.replace(",", ";"),
        "semicolons and quotes": HEADED.replace("cat;dog", '"cat;dog"').replace(",", ";"),
        "Excel's remark": "sep=;\n" + PLAIN.replace(",", ";"),
        "quotes": "".join(",".join(f'"{field}"' for field in row.strip().split(",")) + "\n" for row in ROWS),
        "spaces": PLAIN.replace(",", " , ").replace(";", " ; "),
        "Windows' paths": PLAIN.replace("/", "\\"),
        "dots in paths": PLAIN.replace("train/", "./train/").replace("test/", "test//"),
        "another order": "".join(reversed(ROWS)),
        "letters in two parts": PLAIN.replace("é", "e\u0301").replace("ï", "i\u0308"),
        "BOM": "\ufeff" + PLAIN,
    }
    wide = {
        "UTF-16": HEADED.replace(",", "\t").encode("utf-16"),
        "UTF-16 of the other order": b"\xfe\xff" + HEADED.encode("utf-16-be"),
        "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    }
    return {name: text.encode() for name, text in texts.items()} | wide


HOSTILE = {
    "quotes": b'"' * 50_000,
    "commas": b"," * 49_000 + b"x",
    "labels": b"train/a.jpg," + b"a;" * 24_000 + b"\ntest/d.jpg,a\n",
    "columns": b"file," * 9_000 + b"label\n",
    "lines": b"\r" * 49_000 + b"x",
    "folders": b"a/" * 20_000 + b"b.jpg,cat\n",
    "dots": b"./" * 20_000 + b"train/a.jpg,cat\n",
    "names": b"x.jpg,cat\n" * 4_900,
}

READERS = [Reader("labels", forms(), read, dict.__eq__, one_other, first_files, hostile=HOSTILE, refusal=Failure)]
