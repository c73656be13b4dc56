"""ModelNet40: 12,311 shapes of 40 classes as clouds of points, as `scripts.prepare_modelnet40` prepares them."""

import math
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float32

from perceiver_jax import readers
from perceiver_jax.data.config import DataConfig, Spec
from perceiver_jax.data.prepared import Prepared, Records
from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import shapes
from perceiver_jax.section import Count, Tiny

CLASSES = tuple(
    "airplane bathtub bed bench bookshelf bottle bowl car chair cone cup curtain desk door dresser flower_pot glass_box "
    "guitar keyboard lamp laptop mantel monitor night_stand person piano plant radio range_hood sink sofa stairs stool "
    "table tent toilet tv_stand vase wardrobe xbox".split()
)
PUBLISHED = {"train": 9_843, "test": 2_468}
PUBLISHED_OF_HDF5 = {"train": 9_840, "test": 2_468}  # that release lacks three


class Config(DataConfig):
    """Where the data set lies, and how many points the model sees."""

    source: Literal["modelnet40"]
    data_dir: str  # holds modelnet40/<version>/
    # how the points are arranged: (2048,), or (44, 44) for models of pictures; their product is how many there are
    grid: Annotated[tuple[Count, ...], Tiny(32)]


def spec(config: Config) -> Spec:
    """Points are nothing but their coordinates, which each example brings with it.

    The numbers of examples are the published ones, also where no data are; of a subset that was prepared as such, and of
    the HDF5 release, their own.
    """
    tree = _prepared(config).find()
    return Spec(
        modality="points",
        shape=(*config.grid, 0),
        classes=CLASSES,
        num_examples={split: tree.length(split) for split in PUBLISHED} if tree and tree.partial else _published(config),
        mean=(),
        std=(),
        baselines={},
    )


def identity(config: Config) -> str:
    """A text that changes when the contents of the data set do.

    Raises Failure(DATA) where it is not there.
    """
    return _prepared(config).identity()


def load(config: Config, split: Literal["train", "test"]) -> "Clouds":
    """The shapes of a split and their labels.

    Raises Failure(DATA), with the command that helps, where the data set is missing, unfinished, damaged, prepared with
    too few points, or less than the whole without being recorded as a subset.
    """
    prepared, wanted = _prepared(config), math.prod(config.grid)
    settings = prepared.require(split).settings
    if "num_points" in settings and settings["num_points"] < wanted:
        what = f"prepared with {settings['num_points']:,} points, config wants {wanted:,}"
        hint = f"a smaller data.grid, or {prepared.command} --num_points={wanted} with another --data_dir"
        raise Failure(Code.DATA, what, f"{prepared.require(split).folder}", hint=hint)
    return Clouds(Records(prepared.open(split, _published(config)[split]), "points", "name", len(CLASSES)))


def read_file(config: Config, data: bytes, name: str) -> Float32[np.ndarray, "P 3"]:
    """The points of a person's own file, drawn and thinned as every release is: a model knows no others.

    Those of a mesh that was prepared with the default seed, and as many points as the config asks for, are the very same.
    """
    with readers.named("shape", name):
        return shapes.read_well_spread(data, Path(name).suffix, math.prod(config.grid))


class Clouds:
    """Random access: `[i]` is {"points": float32 (P, 3), "label": int, "name": where it is, for messages}.

    P is how many points were prepared; any beginning of them is well spread.
    """

    def __init__(self, records: Records):
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> dict[str, Float32[np.ndarray, "P 3"] | int | str]:
        record = self._records[index]
        if not record.data or len(record.data) % 12:
            found = f"{len(record.data):,} bytes"
            raise Failure(Code.DATA, f"{record.name}: no cloud of points", found=found, expected="12 for each point")
        points = np.frombuffer(record.data, "<f4").reshape(-1, 3)
        return {"points": points, "label": record.label, "name": record.name}


def _published(config: Config) -> dict[str, int]:
    """The numbers of examples of the release that was prepared."""
    tree = _prepared(config).find()
    of_hdf5 = tree is not None and "release" in tree.settings and tree.settings["release"] == "hdf5"
    return PUBLISHED_OF_HDF5 if of_hdf5 else PUBLISHED


def _prepared(config: Config) -> Prepared:
    splits = {split: split for split in PUBLISHED}
    return Prepared(config.source, config.data_dir, 1, splits, "scripts.prepare_modelnet40")
