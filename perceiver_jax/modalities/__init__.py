"""Processing of one stream of inputs before the model, without parameters: reading, augmentation, normalisation, maps.

A modality is a file or folder here whose MEMBER is a class with what `Modality` lists. NumPy and OpenCV alone, for processes
that need no JAX.
"""

import multiprocessing
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Num, UInt8
from pydantic import Field

from perceiver_jax import readers
from perceiver_jax.readers.recordings import FileRecording, Recording
from perceiver_jax.section import Count, Section

Features = Num[np.ndarray, "..."]  # (*grid, F), or of a masked stream (n, F): as many inputs as the example has


class Stream(Section):
    """One stream of every example's inputs, as its data source has it. A modality's own class adds what it needs."""

    name: str
    modality: str  # a module of perceiver_jax.modalities
    grid: Annotated[tuple[Count, ...], Field(min_length=1)]  # the lengths of its axes; their product is M
    channels: Annotated[int, Field(ge=0)]  # of each input; coordinates that the modality adds come after them
    masked: bool  # whether an example may have fewer inputs than the grid; the others are then masked


NAMED = 5  # recordings of which the same is told
_TOLD: dict[str, list[str]] = {}  # the names of recordings of which something has been told, by what


def tell(recording: Recording, name: str, rate: int | None = None) -> None:
    """Says on stderr what a user should know of a file whose sound is read at a `rate`: of the first `NAMED`, each once."""
    if not isinstance(recording, FileRecording) or multiprocessing.parent_process() is not None:  # workers would all say so
        return
    for code, words in recording.remarks(rate).items():
        names = _TOLD.setdefault(code, [])
        if name not in names and len(names) < NAMED:
            names.append(name)
            more = "; of others it is not said" if len(names) == NAMED else ""
            print(f"note: {name} {words}{more}", file=sys.stderr)


def sound_at(
    recording: Recording, name: str, moment: float, seconds: float, rate: int
) -> Float32[np.ndarray, " samples"] | None:
    """The samples of a part of a recording; None where it has no sound then; raises Failure(DATA) with the name."""
    with readers.named("recording", name):
        tell(recording, name, rate)
        sound = recording.sound(start_of(recording, moment, seconds), seconds, rate)
    return sound if sound is not None and len(sound) else None


def start_of(recording: Recording, moment: float, seconds: float) -> float:
    """Where a part of a recording begins, all in seconds: at 0 at moment 0; at 1 it ends where the recording does."""
    return moment * max(0.0, recording.seconds - seconds)


@runtime_checkable
class Modality(Protocol):
    """Processing of one stream's inputs: an object for a stream and its settings, which worker processes copy."""

    Stream: ClassVar[type[Stream]]
    suffixes: ClassVar[tuple[str, ...]]  # of the files that `read_file` takes, in lower case
    Augment: ClassVar[Any]  # the type of its settings: a Section, or an annotated union of several by `kind`

    stream: Stream

    def __init__(self, stream: Any, augment: Any): ...

    @property
    def num_coordinates(self) -> int:
        """How many channels, the last ones, are each input's position; 0: the grid gives it."""

    @property
    def max_views(self) -> int | None:
        """How many different views of an example evaluation can have; None: any number."""

    @property
    def seconds(self) -> float | None:
        """The length of the part of a recording (`readers.recordings`) that its inputs are of; None: of no recording."""

    @property
    def mixes(self) -> bool:
        """Whether each slot of a training batch is made of two examples."""

    def read(self, given: Any, name: str, moment: float) -> Any:
        """The raw input from a data source, as a file's bytes or as it is; raises Failure(DATA) with its name.

        Of a recording the part at a `moment`, from 0, the first that there is, to 1, the last; None where it has none.
        """

    def holds(self, given: Any) -> bool:
        """Whether a recording has what this is of at all, found without decoding it. Asked of recordings alone."""

    def read_file(self, data: bytes | Path, name: str) -> Any:
        """A user's own file, as a data source would give it to `read`; raises Failure(DATA).

        The bytes, or, of a recording, the path where there is one: it is opened, not read as a whole.
        """

    def training(self, raw: Any, rng: np.random.Generator) -> Features:
        """What is trained on, not yet normalised, changed at random; all randomness comes from `rng`."""

    def evaluation(self, raw: Any, view: int) -> Features:
        """What is evaluated, not yet normalised: the same every time. View 0 is the plain one."""

    def mixed(self, first: Features, second: Features, slot: int, rng: np.random.Generator) -> tuple[Features, float]:
        """Two examples' features in one, and the portion of it that is the first's. Asked for only where it `mixes`."""

    def normalize(self, features: Num[np.ndarray, "B *shape"]) -> Float32[np.ndarray, "B *shape"]:
        """The features of a batch as the model sees them."""

    def shown(self, inputs: Float32[np.ndarray, "... F"], side: int) -> UInt8[np.ndarray, "side side 3"]:
        """A square picture of one example's normalised inputs, of a masked stream those that are there."""

    def draw_maps(
        self,
        inputs: Float32[np.ndarray, "*grid F"],
        maps: Sequence[tuple[str, Float[np.ndarray, "N M"]]],
        output: Path,
        latents: Sequence[int] | None,
        overlay: bool,
    ) -> None:
        """Draws attention logits of cross-attends, with their titles, over one example's normalised inputs."""
