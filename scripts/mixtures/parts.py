"""What mixtures are made of: notes of a General MIDI soundfont and hits of Hydrogen's drum kits, by class and split.

No recording is in both splits: of each family of eight instruments two are held out, and of the kits every fourth.
"""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import BadFile
from perceiver_jax.readers.recordings import FileRecording
from perceiver_jax.readers.sf2 import SoundFont

RATE, SECONDS = 22_050, 1.5  # of every part, which may be shorter
FADE = 200  # samples
KEYS = range(42, 78, 5)
VELOCITY = 100
HELD_OUT = (3, 6)  # of a family's eight programs
EVERY = 4  # one kit in this many is held out
MAX_LAYERS = 4  # of an instrument of a kit: the loudest ones
FAMILIES = (
    *("Piano", "Chromatic percussion", "Organ", "Guitar", "Bass guitar", "Bowed strings", "Ensemble", "Brass", "Reed"),
    *("Pipe", "Synth lead", "Synth pad", "Synth effects", "Plucked of the world", "Percussive"),
)
# Instruments of kits by a word of their names; the first that fits. The others are left out.
DRUMS = {
    "Rimshot": r"stick|rim|click",
    "Clapping": r"clap|snap",
    "Hi-hat": r"\bhh\b|hat\b|hi-hat|hi hat|ohh",
    "Bass drum": r"kick|bass ?drum",
    "Snare drum": r"snare",
    "Tom-tom": r"tom\b|tomhi",
    "Cowbell": r"cowbell|agogo|bell hit|bell mute|dununba1 bell",
    "Cymbal": r"crash|cymbal|splash|china|ride",
    "Shaker": r"shaker|maraca|tambourine",
    "Hand drum": r"conga|bongo|djembe|cajon|sangban|dununba|kenkeni",
}
CLASSES = (*FAMILIES, *DRUMS)
_PACKAGE = "apt-get install hydrogen-drumkits hydrogen-data, whose kits are in /usr/share/hydrogen/data/drumkits"

Sound = Float32[np.ndarray, " samples"]


class Part(NamedTuple):
    """One instrument: its sounds are of one class, and in one split."""

    label: int
    split: str  # "train" or "eval"
    sounds: Sequence[Sound]


def notes(font: SoundFont) -> Iterator[Part]:
    """The instruments of a soundfont."""
    for program in range(8 * len(FAMILIES)):
        found = (font.note(0, program, key, VELOCITY, SECONDS, RATE) for key in KEYS)
        sounds = [_faded(one) for one in found if one is not None and len(one) > FADE]
        if sounds:
            yield Part(program // 8, "eval" if program % 8 in HELD_OUT else "train", sounds)


def hits(folder: Path) -> Iterator[Part]:
    """The instruments of the drum kits in a folder; raises Failure(DATA) where there is none."""
    lists = sorted(folder.glob("*/drumkit.xml"))
    if not lists:
        raise Failure(Code.DATA, "has no drum kit", f"{folder}", expected="KIT/drumkit.xml", hint=_PACKAGE)
    for number, path in enumerate(lists):
        split = "eval" if number % EVERY == EVERY - 1 else "train"
        for name, files in _instruments(path):
            label = label_of(name)
            sounds = [sound for sound in map(_hit, files[-MAX_LAYERS:]) if sound is not None] if label is not None else []
            if sounds:
                yield Part(label, split, sounds)


def label_of(name: str) -> int | None:
    """The class of an instrument of a kit, by its name."""
    for drum, words in DRUMS.items():
        if re.search(words, name.lower()):
            return CLASSES.index(drum)
    return None


def _instruments(path: Path) -> Iterator[tuple[str, list[Path]]]:
    """The instruments of a kit, and the files of each, the softest first."""
    try:
        tree = ElementTree.parse(path)
    except (OSError, ElementTree.ParseError) as error:
        raise Failure(Code.DATA, "cannot read", f"{path}", found=str(error)) from None
    for element in tree.iter():
        element.tag = element.tag.rpartition("}")[2]
    for instrument in tree.iter("instrument"):
        names = dict.fromkeys(one.text for one in instrument.iter("filename") if one.text)
        yield instrument.findtext("name") or "", [path.parent / name for name in names]


def _hit(path: Path) -> Sound | None:
    """The sound of a file; None where it has none that can be read."""
    try:
        sound = FileRecording(path).sound(0.0, SECONDS, RATE)
    except (BadFile, OSError):
        return None
    return None if sound is None or len(sound) <= FADE else _faded(sound)


def _faded(sound: Sound) -> Sound:
    """Its loudest sample 1, without a step at its end."""
    sound = sound / max(float(np.abs(sound).max()), 1e-6)
    sound[-FADE:] *= np.linspace(1, 0, FADE, dtype=np.float32)
    return sound.astype(np.float32)
