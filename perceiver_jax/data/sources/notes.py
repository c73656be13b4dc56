"""Notes of 80 instruments: the 22 keys from C3 to A4, a second each, of the soundfont inside pretty_midi's wheel.

Which key is it? Instruments in the test split are in no other. The soundfont, TimGM6mb, is under GPL-2; pretty_midi is under
MIT.
"""

import functools
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32

from perceiver_jax.data.held_recording import HeldRecording
from perceiver_jax.data.recorded import RecordedConfig
from perceiver_jax.data.sources import Contents, Example, files_sha256, package_file
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities import Stream
from perceiver_jax.readers import named
from perceiver_jax.readers.sf2 import SoundFont, read_soundfont

PROGRAMS, HELD_OUT = range(80), (2, 5)  # General MIDI's; these of every eight are the test split
KEYS = range(48, 70)  # MIDI's
VELOCITY, SECONDS, RATE = 100, 1.0, 16_000  # the last two of the sound
_PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
NAMES = tuple(f"{_PITCHES[key % 12]}{key // 12 - 1}" for key in KEYS)

Sound = Float32[np.ndarray, " samples"]


class Config(RecordedConfig):
    """What a model gets of each note: its sound, as long as `SECONDS` or shorter."""

    kind: Literal["notes"]
    video: None


class Note(NamedTuple):
    """An instrument and its key, as MIDI numbers them."""

    program: int
    key: int

    @property
    def label(self) -> int:
        """The number of the key."""
        return self.key - KEYS.start


class Notes:
    """1,759 notes: one instrument lacks a key.

    Baseline: scikit-learn 1.9's LogisticRegression(max_iter=300) on the standardized logarithm of the first
    8,192 samples' spectrum up to 4 kHz.
    """

    Config = Config

    def __init__(self, config: Config):
        self.config = config

    def streams(self) -> tuple[Stream, ...]:
        """The sound."""
        return self.config.streams()

    def contents(self) -> Contents:
        """The keys by name."""
        return Contents(
            classes=NAMES,
            num_examples={split: len(list_notes(self.config.kind, split)) for split in ("train", "test")},
            baselines={"logistic regression": 0.939},
        )

    def identity(self) -> str:
        """The SHA-256 of the soundfont. Raises Failure(DATA) where pretty_midi is absent."""
        return identity(self.config.kind)

    def load(self, split: Literal["train", "test"]) -> "Played":
        """The notes of a split, an instrument after the other; each is played when it is asked for."""
        return Played(soundfont(self.config.kind), list_notes(self.config.kind, split))


class Played:
    """Random access: the stream `audio` is a `Recording` of a note."""

    def __init__(self, path: Path, notes: list[Note]):
        self._path, self._notes = path, notes

    def __len__(self) -> int:
        return len(self._notes)

    def __getitem__(self, index: int) -> Example:
        note = self._notes[index]
        recording = HeldRecording(play(self._path, note, SECONDS), RATE, None, 1.0)
        return Example({"audio": recording}, self.labels(index), f"program {note.program}, key {note.key}")

    def labels(self, index: int) -> tuple[int, ...]:
        """The one class of a note."""
        return (self._notes[index].label,)


def soundfont(data_set: str) -> Path:
    """The soundfont's file; raises Failure(DATA) where pretty_midi is absent."""
    return package_file(data_set, "pretty_midi", "pretty_midi", "TimGM6mb.sf2")


def identity(data_set: str) -> str:
    """The soundfont's SHA-256; raises Failure(DATA) where pretty_midi is absent."""
    return files_sha256(soundfont(data_set))


def list_notes(data_set: str, split: str) -> list[Note]:
    """The notes of a split, those that the soundfont has. Raises Failure(DATA) where it cannot be read."""
    return _listed(soundfont(data_set), split)


@functools.cache
def _listed(path: Path, split: str) -> list[Note]:
    font = _font(path)
    programs = [program for program in PROGRAMS if (program % 8 in HELD_OUT) == (split == "test")]
    every = [Note(program, key) for program in programs for key in KEYS]
    return [note for note in every if font.recorded(0, *note, VELOCITY)]


@functools.cache
def play(path: Path, note: Note, seconds: float) -> Sound:
    """A note of a soundfont, `seconds` long at `RATE`, zeros where it has ended; kept: all of a second together take 110 MB.

    Raises Failure(DATA) where the soundfont cannot be read.
    """
    sound = _font(path).note(0, *note, VELOCITY, seconds, RATE)
    whole = np.zeros(round(seconds * RATE), np.float32)
    whole[: len(sound)] = sound
    whole.flags.writeable = False  # it is shared
    return whole


@functools.cache
def _font(path: Path) -> SoundFont:
    try:
        data = path.read_bytes()
    except OSError as error:
        hint = "install pretty_midi again"
        raise Failure(Code.DATA, "cannot read", f"{path}", found=f"{error.strerror}", hint=hint) from None
    with named("soundfont", f"{path}"):
        return read_soundfont(data)


MEMBER = Notes
