"""ModelNet40: 12,311 shapes of 40 classes as point clouds, as `scripts.prepare_modelnet40` prepares them."""

import math
from typing import Annotated, Literal

import numpy as np

from perceiver_jax.data.config import DirectoryConfig
from perceiver_jax.data.prepared import Prepared, Records
from perceiver_jax.data.sources import Contents, Example
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities.points import PointStream
from perceiver_jax.section import Count, Tiny

CLASSES = tuple(
    "airplane bathtub bed bench bookshelf bottle bowl car chair cone cup curtain desk door dresser flower_pot glass_box "
    "guitar keyboard lamp laptop mantel monitor night_stand person piano plant radio range_hood sink sofa stairs stool "
    "table tent toilet tv_stand vase wardrobe xbox".split()
)
PUBLISHED = {"train": 9_843, "test": 2_468}
PUBLISHED_OF_HDF5 = {"train": 9_840, "test": 2_468}  # that release lacks three


class Config(DirectoryConfig):
    """How many points the model sees; `data_dir` holds modelnet40/<version>/."""

    kind: Literal["modelnet40"]
    # how the points are arranged: (2048,), or (44, 44) for models of pictures; their product is how many there are
    grid: Annotated[tuple[Count, ...], Tiny(32)]


class ModelNet40:
    """The numbers of examples are the published ones, also where no data are.

    Those of a subset that was prepared as such, and of the HDF5 release, are their own.
    """

    Config = Config

    def __init__(self, config: Config):
        self.config = config
        splits = {split: split for split in PUBLISHED}
        self._prepared = Prepared(config.kind, config.data_dir, 1, splits, "scripts.prepare_modelnet40")

    def streams(self) -> tuple[PointStream]:
        """One cloud; a user's own file is thinned as every release is: a model has seen no other clouds."""
        points = PointStream(
            name="points",
            modality="points",
            grid=self.config.grid,
            channels=0,
            masked=False,
            well_spread=True,
            vertical="z",  # in the releases
        )
        return (points,)

    def contents(self) -> Contents:
        """The 40 classes."""
        tree = self._prepared.find()
        sizes = {split: tree.length(split) for split in PUBLISHED} if tree and tree.partial else self._published
        return Contents(classes=CLASSES, num_examples=sizes)

    def identity(self) -> str:
        """A text that changes when the contents of the data set do; raises Failure(DATA) where it is missing."""
        return self._prepared.identity()

    def load(self, split: Literal["train", "test"]) -> "Clouds":
        """The shapes of a split and their labels.

        Raises Failure(DATA), with the command that helps, where the data set is missing, unfinished, damaged, prepared
        with too few points, or less than the whole without being recorded as a subset.
        """
        prepared, wanted = self._prepared, math.prod(self.config.grid)
        there = prepared.require(split).number("num_points")
        if there is not None and there < wanted:
            what = f"prepared with {there:,} points, config needs {wanted:,}"
            hint = f"a smaller data.grid, or {prepared.command} --num_points={wanted} with another --data_dir"
            raise Failure(Code.DATA, what, f"{prepared.require(split).folder}", hint=hint)
        return Clouds(Records(prepared.open(split, self._published[split]), ["points"], "name", len(CLASSES)))

    @property
    def _published(self) -> dict[str, int]:
        """The numbers of examples of the release that was prepared."""
        tree = self._prepared.find()
        of_hdf5 = tree is not None and "release" in tree.settings and tree.settings["release"] == "hdf5"
        return PUBLISHED_OF_HDF5 if of_hdf5 else PUBLISHED


class Clouds:
    """Random access: the stream `points` is float32 (P, 3).

    P is how many points were prepared; every prefix of them is well spread.
    """

    def __init__(self, records: Records):
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Example:
        record = self._records[index]
        stored = record.values["points"]
        if not stored or len(stored) % 12:
            found = f"{len(stored):,} bytes"
            raise Failure(Code.DATA, f"{record.name}: not a point cloud", found=found, expected="12 for each point")
        return Example({"points": np.frombuffer(stored, "<f4").reshape(-1, 3)}, record.labels, record.name)

    def labels(self, index: int) -> tuple[int, ...]:
        """The one class of an example; its record is read for it."""
        return self._records.labels(index)


MEMBER = ModelNet40
