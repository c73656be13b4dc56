"""A folder of recordings: a user's own sounds and films, in class folders (`data.class_folders`) or with a list."""

import functools
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from perceiver_jax.data.folder_entries import Kind
from perceiver_jax.data.folder_source import FolderConfig, FolderSource
from perceiver_jax.data.recorded import RecordedConfig
from perceiver_jax.modalities import Stream
from perceiver_jax.readers.recordings import FILMS, SOUNDS, FileRecording

RECORDINGS = Kind((*SOUNDS, *FILMS), "recordings", "files such as .wav, .flac, .mp3, .mp4 or .webm", "*.wav")
KEPT = 4096  # recordings that each process remembers: their times, not their contents
OF_FILMS = Kind(FILMS, "films", "files such as .mp4, .mkv or .webm", "*.mp4")


class Config(FolderConfig, RecordedConfig):
    """The folder, and what a model gets of each recording in it."""

    kind: Literal["recording_folder"]


class RecordingFolder(FolderSource):
    """The recordings of a folder; of films alone where a model sees nothing else."""

    Config = Config

    def __init__(self, config: Config, left_out: Collection[str] = ()):
        kind = OF_FILMS if config.audio is None else RECORDINGS
        super().__init__(config, kind, [stream.name for stream in config.streams()], _open, left_out)

    def streams(self) -> tuple[Stream, ...]:
        """The sound, the film or both."""
        return self.config.streams()


@functools.lru_cache(maxsize=KEPT)  # a recording is inspected when it is first read, not for each part of it
def _open(path: str) -> FileRecording:
    return FileRecording(Path(path))


MEMBER = RecordingFolder
