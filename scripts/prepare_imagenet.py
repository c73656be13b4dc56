"""Prepares ImageNet (ILSVRC2012) for training, in the form of TensorFlow Datasets but without TensorFlow.

python -m scripts.prepare_imagenet --source DIR --data_dir DIR [--num_workers 8] [--allow_partial] [--max_bad 0]
    [--checksums FILE] [--part I/N] [--seal]

DIR of --source holds ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar as downloaded (nothing is unpacked), or class
folders: train/nXXXXXXXX/*.JPEG and val/*.JPEG or val/nXXXXXXXX/*.JPEG. A class folder may be a link to a folder;
pictures that are links are bad items. The same command again resumes where it stopped.

With --part I/N it prepares one of N parts; many machines may do so into one DIR. Once all are, --seal puts them together.
--parts N starts all of them, --processes at a time or with --launcher slurm as a job array, and then does the same.

A picture whose bytes were changed without breaking the file cannot be detected unless FILE of --checksums holds
lines `MD5  NAME` (or SHA-256) of files in --source, such as the two archives' sums from their download page.
"""

from pathlib import Path

from absl import flags

from perceiver_jax import command
from perceiver_jax.data.preparation import dataset, imagenet2012, validation_labels
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import note
from scripts import preparation

preparation.define_flags("Directory of the archives or class folders.", "pictures")
_VALIDATION_LABELS = flags.DEFINE(
    command.PATH,
    "validation_labels",
    None,
    "File with one label per line for the validation pictures, in order of their numbers.",
)


def main() -> None:
    preparation.prepare(make_plan)


def make_plan(source: Path) -> dataset.Plan:
    """What is to be prepared, listed and checked."""
    if not source.is_dir():
        raise Failure(Code.DATA, f"--source {source}", "is not a directory")
    note(f"listing {source}")
    validation = imagenet2012.validation_synsets()
    if _VALIDATION_LABELS.value is not None:
        path = Path(_VALIDATION_LABELS.value)
        validation = validation_labels.read(path, validation, imagenet2012.synsets())
    listing = imagenet2012.list_source(source, validation)
    description = {
        "description": "ILSVRC 2012, prepared by perceiver_jax.",
        "homepage": "https://image-net.org/",
        "supervised_keys": ("image", "label"),
    }
    return preparation.plan(imagenet2012, listing, imagenet2012.check_complete, imagenet2012.convert, description)


if __name__ == "__main__":
    command.run(main)
