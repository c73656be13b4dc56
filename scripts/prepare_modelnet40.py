"""Prepares ModelNet40 for training: every shape as points on its surface, in the form of TensorFlow Datasets.

python -m scripts.prepare_modelnet40 --source PATH --data_dir DIR [--num_points 2048] [--seed 0] [--num_workers 2]
    [--allow_partial] [--max_bad 0]

PATH is one of the three releases in use, which is found out: ModelNet40.zip or the folder that holds it (nothing is
unpacked), or its class folders CLASS/{train,test}/CLASS_0001.off; modelnet40_normal_resampled; modelnet40_ply_hdf5_2048.
Meshes are sampled on their surface, five times as many points as wanted, of which those farthest from each other are kept;
the text release is thinned likewise; the HDF5 release, which lacks three shapes, is taken as it is. Points are stored in an
order in which any beginning is well spread. The same command again goes on where it was stopped.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from perceiver_jax import command
from perceiver_jax.data.preparation import dataset, modelnet40
from perceiver_jax.data.preparation import listing as listings
from perceiver_jax.data.preparation.modelnet40_releases import RELEASES, list_source
from perceiver_jax.data.sources.modelnet40 import CLASSES
from perceiver_jax.errors import Code, Failure
from scripts import preparation
from scripts.preparation import say_above

SHARDS = {"train": 64, "test": 16}  # of the whole data set: a run that is stopped loses one for each worker

preparation.define_flags("ModelNet40.zip, or the folder of a release.", "shapes")
_NUM_POINTS = flags.DEFINE_integer("num_points", 2048, "Points of each shape.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the points on surfaces.", lower_bound=0)


def main() -> None:
    preparation.prepare(make_plan)


def make_plan(source: Path) -> dataset.Plan:
    """What is to be prepared, listed and checked."""
    if not source.exists():
        raise Failure(Code.DATA, f"--source {source}", "does not exist")
    say_above(f"listing {source}")
    name, listing = list_source(source)
    release = RELEASES[name]
    if release.num_points is not None and _NUM_POINTS.value > release.num_points:
        expected = f"at most {release.num_points:,} points, or the meshes"
        what = f"found {release.title}"
        raise Failure(Code.DATA, what, f"{source}", found=f"--num_points={_NUM_POINTS.value}", expected=expected)
    say_above(f"found {release.title}")
    preparation.tell_ignored(listing, "shapes")
    for line in coverage(listing, source):
        say_above(line)
    return dataset.Plan(
        name=modelnet40.NAME,
        version=modelnet40.VERSION,
        units=preparation.units(modelnet40.NAME, listing, functools.partial(num_shards, listing)),
        convert=modelnet40.converter(name, _NUM_POINTS.value, _SEED.value),
        preload=modelnet40.PRELOAD,
        bad=listing.bad,
        partial=listing.partial,
        features=modelnet40.features,
        description={
            "description": f"ModelNet40, prepared by perceiver_jax from {release.title}.",
            "homepage": "https://modelnet.cs.princeton.edu/",
            "supervised_keys": ("points", "label"),
        },
        settings={"release": name, "num_points": _NUM_POINTS.value, "seed": _SEED.value},
        example_bytes=12 * _NUM_POINTS.value + 100,
    )


def coverage(listing: listings.Listing, source: Path) -> Iterator[str]:
    """Lines on how much is there; raises Failure(DATA) where it is not all, unless that is allowed."""
    if listing.absent:
        shown = ", ".join(listing.absent[: dataset.SHOWN])
        yield f"{len(listing.absent):,} files that the release's lists name are not there: {shown}"
    wanted = dict.fromkeys(listing.published, f"a release of ModelNet40 in {source}")
    yield from listings.check_complete(listing, CLASSES, "shapes", wanted, preparation.allow_partial())
    for split, items in listing.items.items():
        missing = [name for label, name in enumerate(CLASSES) if label not in {item.label for item in items}]
        if missing:
            yield f"{split} lacks {', '.join(missing)}"


def num_shards(listing: listings.Listing, split: str, num_shapes: int) -> int:
    """How many shards a split has; of a subset its share."""
    return listings.share(SHARDS[split], num_shapes, listing.published[split])


if __name__ == "__main__":
    command.run(main)
