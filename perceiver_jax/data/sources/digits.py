"""scikit-learn's digits: 1,797 grey 8 x 8 pictures of handwritten digits, inside its wheel.

From "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998, UCI; CC BY 4.0); scikit-learn is BSD-3.
"""

from pathlib import Path
from typing import Literal

from perceiver_jax.data.config import DataConfig
from perceiver_jax.data.sources import ArrayExamples, Contents, files_sha256, package_file, read_csv
from perceiver_jax.modalities.image import ImageStream, grey_pictures

NUM_TRAIN = 1347


class Config(DataConfig):
    """The digits have no settings of their own."""

    kind: Literal["digits"]


class Digits:
    """The usual split: the first 1,347 rows and the last 450, unshuffled (other writers).

    Baselines: scikit-learn 1.9's KNeighborsClassifier(3), SVC(C=10), LogisticRegression(max_iter=1000), pixels / 255.
    """

    Config = Config

    def __init__(self, config: Config):
        self.config = config

    def streams(self) -> tuple[ImageStream]:
        """One grey picture."""
        return (grey_pictures((8, 8), mean=77.753, std=95.756),)

    def contents(self) -> Contents:
        """Ten classes."""
        return Contents(
            classes=tuple("0123456789"),
            num_examples={"train": NUM_TRAIN, "test": 450},
            baselines={"3-nearest neighbours": 0.971, "SVM": 0.964, "logistic regression": 0.920},
        )

    def identity(self) -> str:
        """The SHA-256 of the one file there is. Raises Failure(DATA) where scikit-learn is absent."""
        return files_sha256(self._file)

    def load(self, split: Literal["train", "test"]) -> ArrayExamples:
        """The examples of a split. The file's ink runs from 0 to 16; value v becomes v * 255 // 16."""
        rows = read_csv(self._file)
        rows = rows[:NUM_TRAIN] if split == "train" else rows[NUM_TRAIN:]
        images = (rows[:, :-1].astype(int) * 255 // 16).astype("uint8")
        return ArrayExamples(images.reshape(-1, 8, 8, 1), rows[:, -1])

    @property
    def _file(self) -> Path:
        return package_file(self.config.kind, "sklearn", "scikit-learn", "datasets/data/digits.csv.gz")


MEMBER = Digits
