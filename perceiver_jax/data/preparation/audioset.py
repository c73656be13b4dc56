"""From a clip of AudioSet to a record: its sound at 48 kHz, its frames at 25 a second, its labels.

A stream that a clip lacks stays empty: silence and black would be something to learn. Files of about the segment's length
are the clip. Longer ones are cut: from their beginning where their name has the clip's start; otherwise they are the whole
video, and cut from the segment's start.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from perceiver_jax.data.preparation.audioset_names import EITHER, START, WHOLE
from perceiver_jax.data.preparation.items import Clip, Convert, Example, Item, record
from perceiver_jax.data.preparation.listing import share
from perceiver_jax.data.preparation.sound_checks import oddities
from perceiver_jax.data.sources.audioset import LISTED
from perceiver_jax.data.stored_recordings import FRAME_RATE, SOUND_RATE, encode_film, encode_sound
from perceiver_jax.readers import BadFile
from perceiver_jax.readers.recordings import FILMS, FileRecording

NAME, VERSION, NOUN = "audioset", "1.0.0", "sounds or films"
SHARDS = {"balanced_train": 64, "unbalanced_train": 768, "eval": 64}  # of the whole lists: all can be open at once
PRELOAD = (__name__, "av", "cv2", "soundfile", "soxr", "tensorflow_datasets.proto.tf_example_pb2")
NO_AUDIO, NO_VIDEO = "no-audio", "no-video"
MOST_SECONDS = 120.0  # that a clip may take: 3 of a processor of its own, where its frames have 1080 lines
TOLD_BELOW = 44_100  # samples a second: such sounds lack what can be heard of others
LEAST_SECONDS, LONG_SECONDS = 0.5, 60.0
NEAR_SECONDS = 2.0  # by which a file of the clip alone may be longer: cuts are made at packets and key frames
OVER_SECONDS = 0.5  # by which it is kept longer than the segment
END_SECONDS = 0.5  # by which a whole video may end before its segment does
SOUND_BYTES, FILM_BYTES = 700_000, 1_200_000  # of 10 s; of films whose shorter side has 256 pixels
FRAMES_BYTES = 2**27  # of frames that are decoded at once


def converter(frame_side: int) -> Convert:
    """What makes records of clips, frames with a shorter side of at most `frame_side` pixels."""
    return functools.partial(_convert, frame_side=frame_side)


def num_shards(split: str, num_clips: int) -> int:
    """How many shards a split has; of a subset its share."""
    return share(SHARDS[split], num_clips, LISTED[split])


def example_bytes(items: Iterable[Item], frame_side: int) -> int:
    """About how many bytes a record of 10 s has, the largest there are."""
    films = any(file.name.lower().endswith(FILMS) for item in items for file in item.form.files)
    return SOUND_BYTES + (FILM_BYTES * frame_side**2 // 256**2 if films else 0)


def features(names: Sequence[str]) -> Any:
    """How TFDS reads the records, of classes with these names."""
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "audio": tfds.features.Tensor(shape=(), dtype=np.object_),  # a FLAC file, or nothing
            "video": tfds.features.Tensor(shape=(), dtype=np.object_),  # an MP4 file, or nothing
            "label": tfds.features.Sequence(tfds.features.ClassLabel(names=names)),
            "name": tfds.features.Text(),  # ID_START, in ms
            "seconds": tfds.features.Scalar(np.float32),
        }
    )


class _Part(NamedTuple):
    """A file, and which part of it is the clip, in seconds."""

    recording: FileRecording
    start: float
    seconds: float


def _convert(item: Item, data: bytes, frame_side: int) -> Example:
    """The record of one clip; raises BadFile."""
    del data  # the files are read a part at a time
    parts = [_part(Path(item.path, file.name), file.part, item.form) for file in item.form.files]
    warnings = ["long-file"] if any(one.recording.seconds > LONG_SECONDS for one in parts) else []
    warnings += [note for one in parts for note in one.recording.notes]
    sound, film = _sound(parts, warnings), _Film(parts, frame_side)
    if sound is None and not film.count:
        raise BadFile("no-streams", "has neither sound nor film at the time of the clip")
    seconds = max(0.0 if sound is None else len(sound) / SOUND_RATE, film.count / FRAME_RATE)
    if seconds < LEAST_SECONDS:
        raise BadFile("too-short", f"lasts {seconds:.2f} s; {LEAST_SECONDS} s are needed")
    warnings += [] if film.count else [NO_VIDEO]
    streams = {"audio": b"" if sound is None else encode_sound(sound), "video": film.encoded}
    values = {**streams, "label": item.label, "name": item.key.encode(), "seconds": seconds}
    return Example(record(values), tuple(dict.fromkeys(warnings)), b"".join(streams.values()))


def _part(path: Path, kind: str, clip: Clip) -> _Part:
    """The part of a file that is the clip; raises BadFile where that cannot be told."""
    recording = FileRecording(path)
    length, start, end = recording.seconds, clip.start / 1000, clip.end / 1000
    wanted = end - start
    if kind == START or (kind == EITHER and length <= wanted + NEAR_SECONDS):
        return _Part(recording, 0.0, length if length <= wanted + OVER_SECONDS else wanted)
    if length < end - END_SECONDS or (kind == WHOLE and length <= wanted + NEAR_SECONDS):
        found = f"lasts {length:.1f} s: it is neither the clip of {wanted:g} s nor the video up to {end:g} s"
        raise BadFile("which-part", found)
    return _Part(recording, start, wanted)


def _sound(parts: Sequence[_Part], warnings: list[str]) -> Float32[np.ndarray, " samples"] | None:
    """The sound of the first file that has any at that time; adds what is odd about it."""
    for part in parts:
        sound = part.recording.sound(part.start, part.seconds, SOUND_RATE)
        if sound is not None and len(sound):
            rate = part.recording.sound_rate
            warnings += oddities(sound) + ([f"resampled-from-{rate}"] if rate < TOLD_BELOW else [])
            return sound
    warnings.append(NO_AUDIO)
    return None


class _Film:
    """The film of the last file that has any at that time: those of sound come first. Decoded and encoded in pieces."""

    def __init__(self, parts: Sequence[_Part], frame_side: int):
        self.count, self.encoded = 0, b""
        for part in reversed(parts):
            first = part.recording.frames(part.start, 1, FRAME_RATE, None)
            if first is not None and len(first):
                whole = min(first.shape[1:3])
                side = min(frame_side, whole)
                if side < 2:
                    raise BadFile("too-small", f"has frames of {first.shape[2]} x {first.shape[1]} pixels")
                self.encoded = encode_film(self._frames(part, side, first.nbytes * side**2 // whole**2))
                return

    def _frames(self, part: _Part, side: int, num_bytes: int) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The frames, of odd sides without the last row or column."""
        total = round(part.seconds * FRAME_RATE)
        step = max(1, FRAMES_BYTES // num_bytes)
        for first in range(0, total, step):
            count = min(step, total - first)
            frames = part.recording.frames(part.start + first / FRAME_RATE, count, FRAME_RATE, side)
            self.count += len(frames)
            height, width = (length // 2 * 2 for length in frames.shape[1:3])
            yield from np.ascontiguousarray(frames[:, :height, :width])
            if len(frames) < count:
                return
