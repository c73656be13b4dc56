"""What mixtures are made of: notes of a General MIDI soundfont and hits of Hydrogen's drum kits, by class and split.

No recording is in both splits: some instruments of each class are held out, and every fourth kit.
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
KEYS = range(36, 82, 3)
VELOCITY = 100
EVERY = 4  # one kit in this many is held out
MAX_LAYERS = 4  # of an instrument of a kit: the loudest ones
# General MIDI's programs of a class: those that are trained on, and those held out, each a relative of some of the others.
PROGRAMS = {
    "Piano": ((0, 2, 3, 4), (1, 5)),
    "Mallet percussion": ((8, 10, 11, 12, 14), (9, 13)),
    "Organ": ((16, 18, 19, 20), (17,)),
    "Accordion": ((21, 22), (23,)),
    "Guitar": ((24, 26, 27, 28, 29, 31), (25, 30)),
    "Bass guitar": ((32, 34, 35, 36, 38), (33, 37, 39)),
    "Bowed string instrument": ((40, 42, 44, 110), (41, 43)),
    "String section": ((48, 50), (49, 51)),
    "Choir": ((52, 54, 91), (53, 85)),
    "Brass instrument": ((56, 58, 60, 61, 62), (57, 63)),
    "Saxophone": ((64, 66, 67), (65,)),
    "Oboe and clarinet": ((68, 70, 71), (69,)),
    "Flute": ((72, 74, 75, 77, 78), (73, 79)),
    "Synth lead": ((80, 83, 84, 87), (81, 86)),
    "Sitar and banjo": ((104, 105, 107), (106,)),
}
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
CLASSES = (*PROGRAMS, *DRUMS)
_PACKAGE = "apt-get install hydrogen-drumkits hydrogen-data, whose kits are in /usr/share/hydrogen/data/drumkits"

Sound = Float32[np.ndarray, " samples"]


class Part(NamedTuple):
    """One instrument: its sounds are of one class, and in one split."""

    label: int
    split: str  # "train" or "eval"
    sounds: Sequence[Sound]


def notes(font: SoundFont) -> Iterator[Part]:
    """The instruments of a soundfont."""
    for label, (trained_on, held_out) in enumerate(PROGRAMS.values()):
        for program in (*trained_on, *held_out):
            found = (font.note(0, program, key, VELOCITY, SECONDS, RATE) for key in KEYS)
            sounds = [_faded(one) for one in found if one is not None and len(one) > FADE]
            if sounds:
                yield Part(label, "eval" if program in held_out else "train", sounds)


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
