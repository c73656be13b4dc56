"""Archives and releases of data sets as the preparations list and read them: tar, zip, HDF5, gzip. Nothing is unpacked."""

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from perceiver_jax.data.preparation import imagenet2012, modelnet40_releases
from perceiver_jax.data.preparation.items import Files, read
from perceiver_jax.data.preparation.listing import Listing
from perceiver_jax.data.sources import fashion_mnist
from perceiver_jax.readers import BadFile
from scripts.fuzz.parser import Parser

_TAR = {"train": "ILSVRC2012_img_train.tar", "validation": "ILSVRC2012_img_val.tar"}
_OFF = b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n" * 20
_TEXTS = {"modelnet40_train.txt": "chair_0001", "modelnet40_test.txt": "chair_0002"}
_SYNSETS = ("n01440764", "n01443537")


class Archives(Parser):
    """Small ImageNets, ModelNet40s and a Fashion-MNIST."""

    what = "archives of data sets"
    packages = ("h5py",)

    def make(self) -> dict[str, bytes]:
        """Archives of a few kB."""
        pictures = {synset: {f"{synset}_{number}.JPEG": bytes([number]) * 700 for number in (1, 2)} for synset in _SYNSETS}
        inner = {f"{synset}.tar": _tar(files, tarfile.GNU_FORMAT) for synset, files in pictures.items()}
        validation = {f"ILSVRC2012_val_{number:08}.JPEG": b"\xff\xd8" * 300 for number in (1, 2)}
        long = {"a" * 150 + "/" + name: data for name, data in validation.items()}
        meshes = {f"ModelNet40/chair/{split}/chair_000{i}.off": _OFF for i, split in enumerate(("train", "test"))}
        rows = b"0.5,0.25,1,0,0,1\n" * 50
        texts = {name: f"{key}\n".encode() for name, key in _TEXTS.items()}
        return {
            "train/gnu.tar": _tar(inner, tarfile.GNU_FORMAT),
            "train/pax.tar": _tar(inner, tarfile.PAX_FORMAT),
            "validation/gnu.tar": _tar(long, tarfile.GNU_FORMAT),
            "validation/pax.tar": _tar(long, tarfile.PAX_FORMAT),
            "validation/old.tar": _tar(validation, tarfile.USTAR_FORMAT),
            "zip/packed.zip": _zip(meshes, zipfile.ZIP_DEFLATED),
            "zip/stored.zip": _zip({**texts, **{f"chair/{key}.txt": rows for key in _TEXTS.values()}}, zipfile.ZIP_STORED),
            "hdf5/ply_data_train0.h5": _hdf5(),
            "text/modelnet40_train.txt": b"chair_0001\nchair_0003\n",
            "gzip/pictures.gz": gzip.compress(struct.pack(">4I", 0x0803, 2, 28, 28) + bytes(2 * 28 * 28), mtime=0),
            "gzip/labels.gz": gzip.compress(struct.pack(">2I", 0x0801, 2) + bytes(2), mtime=0),
        }

    def read(self, name: str, data: bytes, folder: Path) -> None:
        """Listed from its own name in a folder, and all that is listed read."""
        kind = name.partition("/")[0]
        if kind == "gzip":
            path = folder / Path(name).name
            path.write_bytes(data)
            fashion_mnist.read_idx.cache_clear()
            fashion_mnist.read_idx(path, 3 if "pictures" in name else 1)
        elif kind in _TAR:
            (folder / _TAR[kind]).write_bytes(data)
            _read_all(imagenet2012.list_source(folder, imagenet2012.validation_synsets()))
        else:
            _write_release(kind, data, folder)
            _read_all(modelnet40_releases.list_source(folder)[1])


def _write_release(kind: str, data: bytes, folder: Path) -> None:
    """A release of ModelNet40 that has the data in it."""
    files = {"zip": "ModelNet40.zip", "hdf5": "ply_data_train0.h5", "text": "modelnet40_train.txt"}
    (folder / files[kind]).write_bytes(data)
    if kind == "hdf5":
        lists = {
            "shape_names.txt": "chair",
            "train_files.txt": "data/ply_data_train0.h5",
            "test_files.txt": "ply_data_train0.h5",
        }
        for name, line in lists.items():
            (folder / name).write_text(f"{line}\n")
    if kind == "text":
        (folder / "modelnet40_test.txt").write_text("chair_0002\n")
        (folder / "chair").mkdir()
        (folder / "chair/chair_0001.txt").write_text("0,0,0,0,0,1\n")


def _read_all(listing: Listing) -> None:
    """The bytes of all items; raises Failure, and the first BadFile when all are read."""
    bad = []
    with Files() as files:
        for item in (item for items in listing.items.values() for item in items):
            try:
                read(item, files)
            except BadFile as error:
                bad.append(error)
    if bad:
        raise bad[0]


def _tar(files: Mapping[str, bytes], form: int) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=form) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), 1.5 if form == tarfile.PAX_FORMAT else 0
            tar.addfile(member, io.BytesIO(data))
    return archive.getvalue()


def _zip(files: Mapping[str, bytes], method: int) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as packed:
        for name, data in files.items():
            packed.writestr(zipfile.ZipInfo(name), data, method)
    return archive.getvalue()


def _hdf5() -> bytes:
    import h5py

    archive = io.BytesIO()
    with h5py.File(archive, "w") as file:
        file.create_dataset("data", data=np.zeros((2, 2048, 3), np.float32), compression="gzip")
        file.create_dataset("label", data=np.zeros((2, 1), np.uint8))
    return archive.getvalue()


MEMBER = Archives
