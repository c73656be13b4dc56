"""Prepares ModelNet40 for training: every shape as points on its surface, in the form of TensorFlow Datasets.

python -m scripts.prepare_modelnet40 --source PATH --data_dir DIR [--num_points 2048] [--seed 0] [--num_workers 2]
    [--allow_partial] [--max_bad 0] [--checksums FILE] [--part I/N] [--seal]

PATH is one of the three releases in use, detected automatically: ModelNet40.zip or the folder that holds it (nothing is
unpacked), or its class folders CLASS/{train,test}/CLASS_0001.off; modelnet40_normal_resampled; modelnet40_ply_hdf5_2048.
Meshes are sampled on their surface, five times as many points as needed, of which those farthest from each other are kept;
the text release is thinned likewise; the HDF5 release, which lacks three shapes, is taken as it is. Points are stored in an
order in which every prefix is well spread. The same command again resumes where it stopped.
With --part I/N it prepares one of N parts; many machines may do so into one DIR. Once all are, --seal puts them together.
FILE holds lines `MD5  NAME` or `SHA256  NAME` of what is in the folder, which is compared with them first.
"""

from pathlib import Path

from absl import flags

from perceiver_jax import command
from perceiver_jax.data.preparation import dataset, modelnet40
from perceiver_jax.data.preparation.modelnet40_releases import RELEASES, check_complete, list_source
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import note
from scripts import preparation

preparation.define_flags("ModelNet40.zip, or the folder of a release.", "shapes")
_NUM_POINTS = flags.DEFINE_integer("num_points", 2048, "Points of each shape.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the points on surfaces.", lower_bound=0)


def main() -> None:
    preparation.prepare(make_plan)


def make_plan(source: Path) -> dataset.Plan:
    """What is to be prepared, listed and checked."""
    if not source.exists():
        raise Failure(Code.DATA, f"--source {source}", "does not exist")
    note(f"listing {source}")
    name, listing = list_source(source)
    release = RELEASES[name]
    if release.num_points is not None and _NUM_POINTS.value > release.num_points:
        expected = f"at most {release.num_points:,} points, or the meshes"
        what = f"found {release.title}"
        raise Failure(Code.DATA, what, f"{source}", found=f"--num_points={_NUM_POINTS.value}", expected=expected)
    note(f"found {release.title}")
    description = {
        "description": f"ModelNet40, prepared by perceiver_jax from {release.title}.",
        "homepage": "https://modelnet.cs.princeton.edu/",
        "supervised_keys": ("points", "label"),
    }
    return preparation.plan(
        modelnet40,
        listing,
        check_complete,
        modelnet40.converter(name, _NUM_POINTS.value, _SEED.value),
        description,
        settings={"release": name, "num_points": _NUM_POINTS.value, "seed": _SEED.value},
        example_bytes=12 * _NUM_POINTS.value + 100,
    )


if __name__ == "__main__":
    command.run(main)
