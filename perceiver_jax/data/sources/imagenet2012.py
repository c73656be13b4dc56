"""ImageNet (ILSVRC-2012): 1.28 million photographs of 1,000 classes, as TensorFlow Datasets prepares them.

Here is what is known without reading it; this version cannot read it yet.
"""

from pathlib import Path
from typing import Annotated, Literal, NoReturn

from perceiver_jax.data.config import DataConfig, Spec
from perceiver_jax.errors import Code, Failure
from perceiver_jax.section import Count, Tiny


class Config(DataConfig):
    """Where the data set lies, and the size of the pictures that the model sees."""

    source: Literal["imagenet2012"]
    data_dir: str  # holds imagenet2012/<version>/
    image_size: Annotated[Count, Tiny(32)]  # pixels a side of the square crop


def spec(config: Config) -> Spec:
    """The split `test` is ImageNet's public validation set, on which papers report: its own test labels are secret.

    Mean and std are the usual ones of the train split, pixels from 0 to 255.
    """
    return Spec(
        modality="image",
        shape=(config.image_size, config.image_size, 3),
        num_classes=1000,
        num_examples={"train": 1_281_167, "test": 50_000},
        mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
        std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
        baselines={},
    )


def load(config: Config, split: str) -> NoReturn:
    """Raises Failure(DATA), always: the data set is not there, or it is and this version cannot read it."""
    folder = Path(config.data_dir).expanduser() / "imagenet2012"
    raise Failure(
        Code.DATA,
        f"data set imagenet2012, split {split}",
        f"{folder}",
        found=("" if folder.is_dir() else "not prepared, and ") + "this version cannot read it yet",
        hint="a data set that is inside the installation: configs/digits.py",
    )
