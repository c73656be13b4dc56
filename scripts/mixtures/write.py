"""Writes mixtures of instruments and drums, in the layout of AudioSet: lists of segments, a list of classes, and clips.

python -m scripts.mixtures.write --soundfonts FluidR3_GM.sf2,TimGM6mb.sf2 --drumkits /usr/share/hydrogen/data/drumkits
    --output DIR [--num_train 12000] [--num_eval 1000] [--seed 0]

The soundfonts are those of Debian's packages fluid-soundfont-gm and timgm6mb-soundfont (pretty_midi's wheel holds the second
too), the kits those of hydrogen-data and hydrogen-drumkits. Each clip of 4 seconds has 1 to 4 of 25 classes, each one
instrument, at random times, gain and tuning. No instrument is in both splits. Then

python -m scripts.prepare_audioset --segments DIR/balanced_train_segments.csv,DIR/eval_segments.csv
    --labels DIR/class_labels_indices.csv --clips DIR/clips --data_dir DATA --allow_partial

Soundfonts and kits are under several licences, GPL-2 among them, and so are mixtures: put none into a repository.
"""

import collections
import csv
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import flags
from jaxtyping import Float32

from perceiver_jax import command
from perceiver_jax.errors import Code, Failure, Stopped
from perceiver_jax.readers import named
from perceiver_jax.readers.optional import package
from perceiver_jax.readers.sf2 import read_soundfont
from perceiver_jax.report.progress import Progress, say
from perceiver_jax.system import disk
from perceiver_jax.system.signals import StopFlag
from scripts.mixtures import parts
from scripts.mixtures.parts import CLASSES, RATE, Part
from scripts.preparation import check_outside

SECONDS, PEAK = 4, 0.9  # of a clip; its loudest sample
MAX_CLASSES = 4  # of a clip
DECIBELS = 12.0  # by which the softest class of a clip may be below the loudest
SEMITONES = 2.0  # by which an instrument may be tuned lower or higher than it was recorded
SPACING = (0.15, 0.8)  # seconds from one sound of a class to the next
LISTS = {"train": "balanced_train", "eval": "eval"}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

flags.DEFINE_string("soundfonts", None, "General MIDI soundfonts between commas, .sf2 files.")
_DRUMKITS = flags.DEFINE(command.PATH, "drumkits", None, "Directory of Hydrogen's drum kits.")
_OUTPUT = flags.DEFINE(command.PATH, "output", None, "Directory to make.")
_NUM_TRAIN = flags.DEFINE_integer("num_train", 12_000, "Clips to train on.", lower_bound=1)
_NUM_EVAL = flags.DEFINE_integer("num_eval", 1000, "Clips to evaluate on.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Of what is drawn.", lower_bound=0)


def main() -> None:
    kits = Path(command.require("drumkits"))
    output = Path(command.require("output")).absolute()
    check_outside(output, kits, "drumkits")
    try:
        if output.exists() and any(output.iterdir()):
            raise Failure(Code.WORKDIR, f"output is not empty: {output}", hint="another --output")
    except OSError as error:
        raise Failure(Code.WORKDIR, f"cannot write to {output}", found=disk.reason(error)) from None
    known = [part for font in command.require("soundfonts").split(",") for part in notes_of(Path(font))] + list(
        parts.hits(kits)
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{disk.TEMPORARY}{output.name}-", dir=output.parent))
    try:
        write(known, folder, {"train": _NUM_TRAIN.value, "eval": _NUM_EVAL.value}, _SEED.value)
        folder.chmod(0o755)  # the temporary one was for this user alone
        folder.rename(output)
    except OSError as error:
        raise Failure(Code.WORKDIR, f"cannot write to {output}", found=disk.reason(error)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    counts = collections.Counter(part.split for part in known)
    say(f"{output} is ready: {_NUM_TRAIN.value:,} clips of {counts['train']:,} instruments to train on,"
        f" {_NUM_EVAL.value:,} of {counts['eval']:,} others to evaluate on")  # fmt: skip


def notes_of(soundfont: Path) -> list[Part]:
    """The instruments of a soundfont's file; raises Failure(DATA) where it cannot be read."""
    try:
        data = soundfont.read_bytes()
    except OSError as error:
        raise Failure(Code.DATA, f"--soundfonts {soundfont}", found=disk.reason(error)) from None
    with named("soundfont", f"{soundfont}"):
        return list(parts.notes(read_soundfont(data)))


def write(known: Sequence[Part], folder: Path, sizes: Mapping[str, int], seed: int) -> None:
    """The clips, their lists and the list of classes.

    Raises Failure(DATA) where a split lacks a class, Stopped on request.
    """
    parts_of = {
        split: [[part for part in known if (part.label, part.split) == (i, split)] for i in range(len(CLASSES))]
        for split in sizes
    }
    for split, by_class in parts_of.items():
        for name, of_class in zip(CLASSES, by_class, strict=True):
            if not of_class:
                raise Failure(Code.DATA, f"no instrument of class {name} in split {split}")
    (folder / "clips").mkdir()
    with (folder / "class_labels_indices.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["index", "mid", "display_name"])
        rows.writerows([number, mid(number), name] for number, name in enumerate(CLASSES))
    with StopFlag() as stop, Progress(sum(sizes.values()), 0) as progress:
        done = 0
        for number, (split, size) in enumerate(sizes.items()):
            lines = []
            for index in range(size):
                if stop.should_stop is not None:
                    raise Stopped(stop.should_stop, done, "the same command starts over")
                rng = np.random.default_rng((seed, number, index))
                labels, sound = mixture(parts_of[split], rng)
                video, start = "".join(rng.choice(list(LETTERS), 11)), int(rng.integers(200))
                path = folder / "clips" / f"Y{video}_{start}.wav"
                package("soundfile").write(path, sound, RATE, "PCM_16")
                mids = ",".join(map(mid, labels))
                lines.append(f'{video}, {start}.000, {start + SECONDS}.000, "{mids}"\n')
                done += 1
                progress.update(done, {})
            head = f"# Segments csv created by scripts.mixtures\n# num_ytids={size}, num_segs={size}\n"
            head += "# YTID, start_seconds, end_seconds, positive_labels\n"
            (folder / f"{LISTS[split]}_segments.csv").write_text(head + "".join(lines))


def mid(label: int) -> str:
    """What a class is called in lists."""
    return "/x/" + CLASSES[label].lower().replace(" ", "_").replace("-", "_")


def mixture(
    by_class: Sequence[Sequence[Part]], rng: np.random.Generator
) -> tuple[list[int], Float32[np.ndarray, " samples"]]:
    """The classes of a clip, and its sound: of each class one instrument, its sounds one after the other."""
    labels = sorted(rng.choice(len(by_class), rng.integers(1, MAX_CLASSES, endpoint=True), replace=False).tolist())
    whole = np.zeros(SECONDS * RATE, np.float32)
    for label in labels:
        part = by_class[label][rng.integers(len(by_class[label]))]
        gain = np.float32(10 ** (-rng.uniform(0, DECIBELS) / 20))
        speed = 2 ** (rng.uniform(-SEMITONES, SEMITONES) / 12)
        time = rng.uniform(0, SPACING[1])
        while time < SECONDS:
            sound = played(part.sounds[rng.integers(len(part.sounds))], speed)
            first = int(time * RATE)
            there = whole[first : first + len(sound)]
            there += gain * sound[: len(there)]
            time += rng.uniform(*SPACING)
    return labels, whole * np.float32(PEAK / max(float(np.abs(whole).max()), 1e-6))


def played(sound: Float32[np.ndarray, " samples"], speed: float) -> Float32[np.ndarray, " fewer_or_more"]:
    """A sound played faster, and so higher, or slower."""
    times = np.arange(0, len(sound) - 1, speed)
    return np.interp(times, np.arange(len(sound)), sound).astype(np.float32)


if __name__ == "__main__":
    command.run(main)
