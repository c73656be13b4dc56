"""Lists in text: labels of one's files, AudioSet's classes and segments, ImageNet's validation labels, names of files."""

import functools
from pathlib import Path

from perceiver_jax.data import label_list
from perceiver_jax.data.preparation import (
    audioset_classes,
    audioset_clips,
    audioset_coverage,
    audioset_segments,
    validation_labels,
)
from perceiver_jax.data.sources.image_folder import PICTURES
from perceiver_jax.runs import files
from perceiver_jax.runs.load import TrainedRun
from perceiver_jax.runs.workdir import Workdir
from scripts.faults.tiny import SMALL, problem_of
from scripts.fuzz.parser import Parser

_FILES = [f"{number}{name}.jpg" for number in range(6) for name in ("cat", "dog")]
_IDS = ("-0RWZT-miFs", "0abcdefghij", "1ABCDEFGHIJ", "_bcdefghijk")
_CLASSES = ("/m/09x0r", "/m/05zppz", "/t/dd00003")
_LABELS = "labels.csv", "headed.csv", "sheet.csv"
_NAMES = "names.txt", "zeros.txt"
_SEGMENTS = "eval_segments.csv", "balanced_train_segments.csv"


class Tables(Parser):
    """Each list as it is published, and as spreadsheets write it."""

    what = "lists of labels, classes, segments and files"
    packages = ()

    def make(self) -> dict[str, bytes]:
        """Some lines of each."""
        rows = "".join(f'{name},"{name[1:4]};pet"\n' for name in _FILES)
        mids = "".join(f'{number},{mid},"Class {number}, or so"\n' for number, mid in enumerate(_CLASSES))
        segments = "".join(f'{name}, 30.000, 40.000, "{",".join(_CLASSES[:2])}"\n' for name in _IDS)
        return {
            "labels.csv": rows.encode(),
            "headed.csv": ("Image Name,split,Label\n" + rows.replace(",", ",train,")).encode("utf-16"),
            "sheet.csv": ("\ufeffsep=;\r\n" + rows.replace(",", ";").replace('"', "").replace("\n", "\r\n")).encode(),
            "class_labels_indices.csv": f"index,mid,display_name\n{mids}".encode(),
            "eval_segments.csv": f"# Segments csv\n# num_ytids=4, num_segs=4\n# YTID, start_seconds\n{segments}".encode(),
            "balanced_train_segments.csv": segments.replace(", ", ";").replace('"', "").encode("utf-16"),
            "validation.txt": b"n01440764\nn01443537\nn01440764\nn01484850\n",
            "numbers.txt": b"3\n1\n3\n2\n",
            "names.txt": b"a.jpg\nb c.jpg\n# d.jpg\n",
            "zeros.txt": b"a.jpg\0b c.jpg\0",
        }

    def read(self, name: str, data: bytes, folder: Path) -> None:
        """From a file."""
        if name in _NAMES:  # a folder that a list names is looked through, be it the root or one's home
            data = data.translate(None, b"/~")
        path = folder / name
        path.write_bytes(data)
        if name in _LABELS:
            for file in _FILES:
                (folder / file).touch()
            label_list.list_files(folder, name, 50.0, PICTURES)
        elif name in _SEGMENTS:
            _list_clips(path)
        elif name == "class_labels_indices.csv":
            audioset_classes.read(path, allow_partial=True)
        elif name in _NAMES:
            files.listed([], str(path), _run(), [], lambda _: None)
        else:
            classes = "n01440764", "n01443537", "n01484850"
            validation_labels.read(path, [classes[0], classes[1], classes[0], classes[2]], classes)


@functools.cache
def _run() -> TrainedRun:
    """One that reads pictures: those in folders that a list names are looked for."""
    return TrainedRun(Workdir(Path("run")), problem_of(*SMALL), 0)


def _list_clips(path: Path) -> None:
    """The clips of a list that have a file, and what is said of the others."""
    for name in _IDS[:2]:
        (path.parent / f"{name}_30000.wav").touch()
    classes = audioset_classes.Classes(_CLASSES, ("Speech", "Male speech", "Sniff"))
    lists = audioset_segments.read([audioset_segments.split_of(str(path))], classes, True, True)
    found = audioset_clips.find(path.parent, lists.segments, None)
    listing, coverage = audioset_coverage.list_clips(lists, found, classes, None)
    coverage.check(listing, 1.0)


MEMBER = Tables
