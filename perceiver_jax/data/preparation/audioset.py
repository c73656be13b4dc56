"""From a clip of AudioSet to a record: its sound at 48 kHz, its frames at 25 a second, its labels.

A stream that a clip lacks stays empty: silence and black would be something to learn. Files of about the segment's length are
the clip; longer ones are cut, from their beginning where their name has the clip's start, and otherwise from the segment's
start, as whole videos are.
"""

import functools
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from perceiver_jax.data.preparation.audioset_names import EITHER, START, WHOLE
from perceiver_jax.data.preparation.items import Clip, Convert, Example, Item, record
from perceiver_jax.data.preparation.listing import share
from perceiver_jax.data.preparation.sound_checks import SILENCE, oddities
from perceiver_jax.data.stored_recordings import FRAME_RATE, SOUND_RATE, encode_frame, encode_sound
from perceiver_jax.readers import BadFile
from perceiver_jax.readers.recordings import FileRecording

NAME, VERSION, NOUN = "audioset", "1.0.0", "sounds or films"
PUBLISHED = {"balanced_train": 22_160, "unbalanced_train": 2_041_789, "eval": 20_371}
SHARDS = {"balanced_train": 64, "unbalanced_train": 768, "eval": 64}  # of the whole lists: all can be open at once
PRELOAD = (__name__, "av", "cv2", "soundfile", "soxr", "tensorflow_datasets.proto.tf_example_pb2")
NO_AUDIO, NO_VIDEO = "no-audio", "no-video"
LEAST_SECONDS, LONG_SECONDS = 0.5, 60.0
NEAR_SECONDS = 2.0  # by which a file of the clip alone may be longer: cuts are made at packets and key frames
END_SECONDS = 0.5  # by which a whole video may end before its segment does
FRAMES_BYTES = 2**27  # of frames that are decoded at once


def converter(frame_side: int) -> Convert:
    """What makes records of clips, frames with a shorter side of at most `frame_side` pixels."""
    return functools.partial(_convert, frame_side=frame_side)


def num_shards(split: str, num_clips: int) -> int:
    """How many shards a split has; of a subset its share."""
    return share(SHARDS[split], num_clips, PUBLISHED[split])


def features(names: Sequence[str]) -> Any:
    """How TFDS reads the records, of classes with these names."""
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "audio": tfds.features.Tensor(shape=(), dtype=np.object_),  # a FLAC file, or nothing
            "video": tfds.features.Sequence(tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")),
            "label": tfds.features.Sequence(tfds.features.ClassLabel(names=names)),
            "name": tfds.features.Text(),  # ID_START, in ms
            "seconds": tfds.features.Scalar(np.float32),
        }
    )


class _Window(NamedTuple):
    """A recording, and which part of it is the clip."""

    recording: FileRecording
    start: float
    seconds: float


def _convert(item: Item, data: bytes, frame_side: int) -> Example:
    """The record of one clip; raises BadFile."""
    del data  # the files are read a part at a time
    windows = [_window(path, part, item.form) for path, part in _paths(item)]
    warnings = ["long-file"] if any(one.recording.seconds > LONG_SECONDS for one in windows) else []
    sound = _sound(windows, warnings)
    film = _film(windows, frame_side)
    if sound is None and not film:
        raise BadFile("no-streams", "has neither sound nor film at this time")
    seconds = max(0 if sound is None else len(sound) / SOUND_RATE, len(film) / FRAME_RATE)
    if seconds < LEAST_SECONDS:
        raise BadFile("too-short", f"lasts {seconds:.2f} s; {LEAST_SECONDS} s are needed")
    warnings += [NO_VIDEO] if not film else []
    audio = b"" if sound is None else encode_sound(sound)
    values = {"audio": audio, "video": film, "label": item.label, "name": item.key.encode(), "seconds": seconds}
    return Example(record(values), tuple(warnings), b"".join([audio, *film]))


def _paths(item: Item) -> list[tuple[str, str]]:
    """The files of a clip and what each is of its video, those that are asked for sound first in front."""
    folder = os.path.dirname(item.path)
    return [(item.path, item.form.part)] + [(os.path.join(folder, one.path), one.part) for one in item.form.others]


def _window(path: str, part: str, clip: Clip) -> _Window:
    """The part of a file that is the clip; raises BadFile where that cannot be told."""
    recording = FileRecording(Path(path))
    length, start, end = recording.seconds, clip.start / 1000, clip.end / 1000
    wanted = end - start
    is_clip = part == START or (part == EITHER and length <= wanted + NEAR_SECONDS)
    if is_clip:
        return _Window(recording, 0.0, min(length, wanted) if length > wanted + KEPT_SECONDS else length)
    if length < end - END_SECONDS or (part == WHOLE and length <= wanted + NEAR_SECONDS and start > 0):
        found = f"lasts {length:.1f} s: neither the clip of {wanted:g} s nor the video up to {end:g} s"
        raise BadFile("which-part", found)
    return _Window(recording, start, wanted)
