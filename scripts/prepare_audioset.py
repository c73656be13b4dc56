"""Prepares AudioSet for training: the sound and the film of every listed clip, in the form of TensorFlow Datasets.

python -m scripts.prepare_audioset --segments CSV[,CSV...] --labels class_labels_indices.csv --clips DIR --data_dir DIR
    [--template NAME] [--frame_side 256] [--max_missing 0.25] [--drop_duplicates] [--num_workers 2] [--allow_partial]
    [--max_bad 0] [--checksums FILE]

Each CSV is a list of AudioSet's own: balanced_train_segments.csv, unbalanced_train_segments.csv, eval_segments.csv; one with
another name is given as SPLIT=CSV. DIR holds your clips, in any folders: sounds, films or both, a file each or a file
together. They are named ID, YID, ID_START or ID_START_END, in seconds or milliseconds, or by a template such as
{split}/{id}_{start:06d}; whole videos, named ID, are cut. Sound becomes 48 kHz, mono; frames 25 a second. The same command
again resumes where it stopped.
coverage.json, beside the result, says what of the lists is there and what is not, by class and by reason.
"""

import dataclasses
import functools
import itertools
from pathlib import Path

from absl import flags

from perceiver_jax import command
from perceiver_jax.data import stored_recordings
from perceiver_jax.data.preparation import (
    audioset,
    audioset_classes,
    audioset_clips,
    audioset_coverage,
    audioset_segments,
    dataset,
)
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import note
from scripts import preparation

preparation.define_flags("Folder of the clips, in any folders of it.", "clips", flag="clips")
flags.DEFINE_string("segments", None, "Lists of segments between commas, each CSV or SPLIT=CSV.")
_LABELS = flags.DEFINE(command.PATH, "labels", None, "The list of classes: class_labels_indices.csv.")
_TEMPLATE = flags.DEFINE_string(
    "template", None, "How clips are called, with {id}, {start}, {end}, {start_ms}, {end_ms}, {split}."
)
_FRAME_SIDE = flags.DEFINE_integer(
    "frame_side", 256, "The shorter side of frames, in pixels; smaller ones stay.", lower_bound=16
)
_MAX_MISSING = flags.DEFINE_float(
    "max_missing", 0.25, "Portion of a list's clips that may have no file.", lower_bound=0.0, upper_bound=1.0
)
_DROP_DUPLICATES = flags.DEFINE_bool("drop_duplicates", False, "Leave out clips that are listed before, or in eval too.")


def main() -> None:
    preparation.prepare(make_plan, flag="clips")


def make_plan(clips: Path) -> dataset.Plan:
    """What is to be prepared, listed and checked."""
    words, allow_partial = command.require("segments").split(","), flags.FLAGS["allow_partial"].value
    paths = [audioset_segments.split_of(word) for word in words]
    classes = audioset_classes.read(Path(command.require("labels")), allow_partial)
    if not clips.is_dir():
        raise Failure(Code.DATA, f"--clips {clips}", "is not a folder" if clips.exists() else "does not exist")
    lists = audioset_segments.read(paths, classes, _DROP_DUPLICATES.value, allow_partial)
    note(f"listing {clips}")
    found = audioset_clips.find(clips, lists.segments, _TEMPLATE.value)
    listing, coverage = audioset_coverage.list_clips(lists, found, classes, _TEMPLATE.value)
    counts = [f"{split} {len(listing.items[split]):,} of {listed:,}" for split, listed in coverage.listed.items()]
    plan = preparation.plan(
        audioset,
        listing,
        lambda listing, _: coverage.check(listing, _MAX_MISSING.value),
        audioset.converter(_FRAME_SIDE.value),
        {
            "description": f"AudioSet, prepared by perceiver_jax; clips with a file: {', '.join(counts)}.",
            "homepage": "https://research.google.com/audioset/",
        },
        settings={"frame_side": _FRAME_SIDE.value, "classes": classes.sign, "encoders": stored_recordings.encoders()},
        example_bytes=audioset.example_bytes(itertools.chain(*listing.items.values()), _FRAME_SIDE.value),
    )
    features = functools.partial(audioset.features, classes.names)
    return dataclasses.replace(plan, features=features, finish=coverage.finish, most_seconds=audioset.MOST_SECONDS)


if __name__ == "__main__":
    command.run(main)
