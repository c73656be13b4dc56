"""scikit-learn's digits: 1,797 grey 8 x 8 pictures of handwritten digits, inside its wheel.

From "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998, UCI; CC BY 4.0); scikit-learn is BSD-3.
"""

from pathlib import Path
from typing import Literal

from perceiver_jax.data.config import DataConfig, Spec
from perceiver_jax.data.sources import ArraySource, package_file, read_csv, sha256

NUM_TRAIN = 1347


class Config(DataConfig):
    """The digits have no settings of their own."""

    source: Literal["digits"]


def spec(config: Config) -> Spec:
    """The usual split: the first 1,347 rows and the last 450, unshuffled (other writers).

    Baselines: scikit-learn 1.9's KNeighborsClassifier(3), SVC(C=10), LogisticRegression(max_iter=1000), pixels / 255.
    """
    del config
    return Spec(
        modality="image",
        shape=(8, 8, 1),
        classes=tuple("0123456789"),
        num_examples={"train": NUM_TRAIN, "test": 450},
        mean=(77.753,),
        std=(95.756,),
        baselines={"3-nearest neighbours": 0.971, "SVM": 0.964, "logistic regression": 0.920},
    )


def identity(config: Config) -> str:
    """The SHA-256 of the one file there is. Raises Failure(DATA) where scikit-learn is absent."""
    return sha256(_file(config))


def load(config: Config, split: Literal["train", "test"]) -> ArraySource:
    """The examples of a split. The file's ink runs from 0 to 16; value v becomes v * 255 // 16."""
    rows = read_csv(_file(config))
    rows = rows[:NUM_TRAIN] if split == "train" else rows[NUM_TRAIN:]
    images = (rows[:, :-1].astype(int) * 255 // 16).astype("uint8")
    return ArraySource(images.reshape(-1, 8, 8, 1), rows[:, -1])


def _file(config: Config) -> Path:
    return package_file(config.source, "sklearn", "scikit-learn", "datasets/data/digits.csv.gz")
