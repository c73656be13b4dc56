"""One module per data set; adding one is adding a file.

Each has `Config`, a DataConfig; `spec(config) -> Spec`; `identity(config)`, a text that changes when the contents do; and
`load(config, split)`, random access to the examples of a published split: `len` and `[i]`, a mapping from the
modality's name to the raw features or a file's bytes, from "label" to the class, and from "name" to what the example is
called in messages, if it has a name. Where a person's own file has to go through what the data set went through before it
is like an example of it, `read_file(config, data, name)` does that. Here is what sources of few files share.
"""

import functools
import importlib.util
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8

from perceiver_jax.errors import Code, Failure
from perceiver_jax.system import disk


class ArraySource:
    """Random access to pictures held in memory: `[i]` is {"image": uint8 (H, W, C), "label": int}."""

    def __init__(self, images: UInt8[np.ndarray, "examples H W C"], labels: Integer[np.ndarray, " examples"]):
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, UInt8[np.ndarray, "H W C"] | int]:
        return {"image": self.images[index], "label": int(self.labels[index])}


def package_file(data_set: str, package: str, distribution: str, name: str) -> Path:
    """The file `name` inside an installed package, which is not imported: that can take seconds.

    Raises Failure(DATA) where the package is absent.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        what = f"data set {data_set} needs the package {distribution}"
        raise Failure(Code.DATA, what, hint="pip install -e .[examples]")
    return Path(found.submodule_search_locations[0], name)


def sha256(*paths: Path) -> str:
    """The SHA-256 of the bytes of some files, each hashed by itself.

    Raises Failure(DATA) where one cannot be read.
    """
    try:
        return " ".join(disk.sha256(path) for path in paths)
    except OSError as error:
        raise Failure(Code.DATA, "cannot read", f"{error.filename}", found=f"{error.strerror}") from None


@functools.cache
def read_csv(path: Path) -> UInt8[np.ndarray, "rows columns"]:
    """The numbers 0 to 255 of a gzipped file of comma-separated rows, read-only.

    Raises Failure(DATA) where the file is absent, damaged (gzip has a checksum) or holds anything else.
    """
    try:
        rows = np.loadtxt(path, dtype=np.uint8, delimiter=",", ndmin=2)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise Failure(Code.DATA, "cannot read", f"{path}", found=str(error), hint="install its package again") from None
    rows.flags.writeable = False
    return rows
