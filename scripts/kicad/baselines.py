"""Test accuracies of simple models on configs/kicad.py, from features of the points that its evaluation sees.

python -m scripts.kicad.baselines --data_dir DIR [--num_points 1024]

DIR is what scripts.kicad.prepare made. Forests have the mean of seeds 0, 1, 2 and each. It takes two minutes on one core. In
the last row the same shapes are split at random, as many to test as before, so that siblings of one family are in both.
"""

import math
from types import ModuleType
from typing import Any

import numpy as np
from absl import flags
from jaxtyping import Float32, Float64, Integer

from configs import kicad
from perceiver_jax import command
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import Progress, say
from perceiver_jax.report.tables import table
from perceiver_jax.settings.config import Config, parse

NUM_TREES = 500
SEEDS = (0, 1, 2)
# Where the bins of histograms end. Coordinates: about the middle of the box, in halves of its longest side; distances: in
# the largest; lengths: in the models' own unit of 0.1 inch.
COORDINATES, DISTANCES, LENGTHS = np.linspace(-1, 1, 17), np.linspace(0, 1, 33), np.geomspace(0.1, 100, 33)

flags.DEFINE(command.PATH, "data_dir", None, "Directory that scripts.kicad.prepare made.")
_NUM_POINTS = flags.DEFINE_integer("num_points", None, "Points of each shape; default: the config's.", lower_bound=1)


def main() -> None:
    values = kicad.get_config()
    values.data.data_dir = command.require("data_dir")
    if _NUM_POINTS.value is not None:
        values.data.grid = (_NUM_POINTS.value,)
    config, sklearn = parse(values), _sklearn()
    train, test = (split_features(config, split) for split in ("train", "test"))
    shape, size, labels = (np.concatenate(parts) for parts in zip(train, test, strict=True))
    both, num_train, places = np.hstack([shape, size]), len(train[-1]), np.arange(len(labels))
    largest = np.bincount(labels[:num_train]).argmax()

    def accuracy(model: Any, known: np.ndarray, order: np.ndarray) -> float:
        first, rest = order[:num_train], order[num_train:]
        return model.fit(known[first], labels[first]).score(known[rest], labels[rest])

    def forests(known: np.ndarray, split_at_random: bool) -> list[float]:
        orders = [np.random.default_rng(seed).permutation(places) if split_at_random else places for seed in SEEDS]
        models = [sklearn.ensemble.RandomForestClassifier(NUM_TREES, random_state=seed) for seed in SEEDS]
        return [accuracy(model, known, order) for model, order in zip(models, orders, strict=True)]

    neighbour = sklearn.neighbors.KNeighborsClassifier(1)
    scaled = sklearn.pipeline.make_pipeline(sklearn.preprocessing.StandardScaler(), neighbour)
    forest = f"random forest, {NUM_TREES} trees"
    rows = [
        (forest, both, forests(both, split_at_random=False)),
        ("nearest neighbour", both, [accuracy(scaled, both, places)]),
        (f"{forest}, without size", shape, forests(shape, split_at_random=False)),
        ("the largest class", both[:, :0], [np.mean(labels[num_train:] == largest)]),
        (f"{forest}, split at random", both, forests(both, split_at_random=True)),
    ]
    say(table(["model", "features", "test accuracy"], [(name, x.shape[1], percent(found)) for name, x, found in rows]))


def split_features(
    config: Config, split: str
) -> tuple[Float64[np.ndarray, "examples shape"], Float64[np.ndarray, "examples size"], Integer[np.ndarray, " examples"]]:
    """Of every shape of a split the `features` and the label."""
    source, num_points = config.source().load(split), math.prod(config.data.grid)
    found, labels = [], []
    with Progress(len(source), 0) as progress:
        for i in range(len(source)):
            example = source[i]
            found.append(features(example.inputs["points"][:num_points]))
            labels += example.labels
            progress.update(i + 1, {})
    shape, size = map(np.stack, zip(*found, strict=True))
    return shape, size, np.array(labels)


def features(points: Float32[np.ndarray, "P 3"]) -> tuple[Float64[np.ndarray, " shape"], Float64[np.ndarray, " size"]]:
    """What is known of a cloud in whatever order its points are: without its size, and that.

    Extents and their ratios, standard deviations, roots of the covariance's eigenvalues, histograms of coordinates and of
    distances; of the size extents and a histogram of distances.
    """
    from scipy.spatial.distance import pdist  # scikit-learn brings it

    points = points.astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    extents, distances = high - low, pdist(points)
    points = (points - (low + high) / 2) * (2 / extents.max())
    roots = np.sqrt(np.linalg.eigvalsh(np.cov(points.T)).clip(0))
    sides = extents / extents.max()
    shape = [sides, np.sort(sides)[:2], points.std(axis=0), roots]
    shape += [histogram(axis, COORDINATES) for axis in points.T] + [histogram(distances / distances.max(), DISTANCES)]
    return np.concatenate(shape), np.concatenate([extents, histogram(distances, LENGTHS)])


def histogram(values: Float64[np.ndarray, " values"], ends: Float64[np.ndarray, " ends"]) -> Float64[np.ndarray, " bins"]:
    """Which part of the values is in each bin; those beyond all are in the outermost."""
    return np.histogram(values.clip(ends[0], ends[-1]), ends)[0] / len(values)


def percent(accuracies: list[float]) -> str:
    """The mean, and each where there are several."""
    each = ", ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies)
    return f"{100 * np.mean(accuracies):.1f} %" + (f" ({each})" if len(accuracies) > 1 else "")


def _sklearn() -> ModuleType:
    """scikit-learn with the parts that are needed, imported before anything is read."""
    try:
        import sklearn.ensemble
        import sklearn.neighbors
        import sklearn.pipeline
        import sklearn.preprocessing
    except ImportError:
        raise Failure(Code.DATA, "the baselines need the package scikit-learn", hint="pip install -e .[examples]") from None
    return sklearn


if __name__ == "__main__":
    command.run(main)
