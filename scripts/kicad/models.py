"""KiCad's models of electronic parts as a data set: which are in it, of which class and split, and their points.

A class is a folder of the library. Its models are parametric families, PinHeader_1x02 to PinHeader_1x40, so families are
kept whole: in a random split nearly every test shape would have a sibling in train. Of files that hold the same under
the names of several makers, one is taken.
"""

import collections
import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import BadFile, surface
from scripts.kicad.vrml import read_vrml

FOLDER = ".3dshapes"  # how the names of the library's folders end
MAX_BYTES = 200_000  # of a model; larger ones, a tenth of the files, are rows of pins and take half the time
MIN_MODELS = 60  # of a class
MAX_MODELS = 200  # of a class; the largest folders have twice as many, most of them rows of pins
TEST_FRACTION = 0.27  # of a class's models, as nearly as whole families allow

_PACKAGE = "apt-get install kicad-packages3d, whose models are in /usr/share/kicad/3dmodels"


class Model(NamedTuple):
    """A file, and where its points go."""

    path: Path
    split: str
    label: str  # the name of its class

    @property
    def target(self) -> str:
        """The path of its points, below the data set's folder."""
        return f"{self.split}/{self.label}/{self.path.stem}.npy"


def list_models(source: Path) -> list[Model]:
    """The models of all classes, sorted.

    Raises Failure(DATA) where there is no class.
    """
    models = []
    for folder in sorted(source.glob(f"*{FOLDER}")):
        paths = sorted(path for path in folder.glob("*.wrl") if path.is_file() and path.stat().st_size <= MAX_BYTES)
        paths = _without_copies(paths) if len(paths) >= MIN_MODELS else []
        label = folder.name.removesuffix(FOLDER)
        if len(paths) >= MIN_MODELS and len({family(path) for path in paths}) > 1:
            kept = sorted(sorted(paths, key=lambda path: _hash(label, path.stem))[:MAX_MODELS])
            test = _test_families(label, kept)
            models += [Model(path, "test" if family(path) in test else "train", label) for path in kept]
    if not models:
        expected = f"folders NAME{FOLDER} of {MIN_MODELS} models *.wrl or more"
        raise Failure(Code.DATA, "has no class of models", f"{source}", expected=expected, hint=_PACKAGE)
    return models


def family(path: Path) -> str:
    """The name of a file without its numbers."""
    return re.sub(r"\d+", "", path.stem)


def _without_copies(paths: list[Path]) -> list[Path]:
    """The first of all files that are the same but for their comments. Raises Failure(DATA) where one cannot be read."""
    first: dict[bytes, Path] = {}
    for path in paths:
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            raise Failure(Code.DATA, "cannot read", f"{path}", found=f"{error.strerror}") from None
        first.setdefault(hashlib.sha256(b"\n".join(line for line in lines if not line.startswith(b"#"))).digest(), path)
    return list(first.values())


def _test_families(label: str, paths: list[Path]) -> set[str]:
    """The families of a class that are its test split.

    In the order of their hashes, each that brings the split's size nearer to `TEST_FRACTION`: of two or more families
    that is always one, and never all.
    """
    sizes = collections.Counter(map(family, paths))
    chosen, count, wanted = set(), 0, TEST_FRACTION * len(paths)
    for name in sorted(sizes, key=lambda name: _hash(label, name)):
        if abs(count + sizes[name] - wanted) < abs(count - wanted):
            chosen.add(name)
            count += sizes[name]
    return chosen


def _hash(label: str, name: str) -> str:
    return hashlib.sha256(f"{label}/{name}".encode()).hexdigest()


def convert(path: Path, num_points: int) -> Float32[np.ndarray, "P 3"] | BadFile:
    """The points of a model's surface, drawn at random as its bytes decide; what is wrong with a file that has none."""
    try:
        data = path.read_bytes()
        mesh = read_vrml(data)
        points = surface.sample(mesh, num_points, surface.generator(data, 0))
    except BadFile as bad:
        return bad
    except OSError as error:
        return BadFile("unreadable", f"{error.strerror}")
    return (points * surface.half_side(mesh)).astype(np.float32)  # a part's size says much about its class
