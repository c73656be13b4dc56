"""A folder of pictures: a user's own data, in class folders (`data.class_folders`) or with a list of labels."""

from collections.abc import Collection
from typing import Annotated, Literal

from perceiver_jax.data.folder_entries import Kind, read_file
from perceiver_jax.data.folder_source import FolderConfig, FolderSource
from perceiver_jax.data.sources.imagenet2012 import photographs
from perceiver_jax.modalities.image import ImageStream
from perceiver_jax.readers import pictures
from perceiver_jax.section import Count, Tiny

PICTURES = Kind(pictures.SUFFIXES, "pictures", "JPEG, PNG, WebP, GIF or BMP files", "*.jpg")


class Config(FolderConfig):
    """The folder, and the size of the pictures that the model sees."""

    kind: Literal["image_folder"]
    image_size: Annotated[Count | tuple[Count, Count], Tiny(32)]  # pixels: a side of square inputs, or (height, width)


class ImageFolder(FolderSource):
    """The pictures of a folder. Their mean and standard deviation are taken to be those of ImageNet's photographs."""

    Config = Config

    def __init__(self, config: Config, left_out: Collection[str] = ()):
        super().__init__(config, PICTURES, ["image"], _read, left_out)

    def streams(self) -> tuple[ImageStream]:
        """One picture, in colour, upright."""
        size = self.config.image_size
        return (photographs((size, size) if isinstance(size, int) else size, upright=True),)


def _read(path: str) -> bytes:
    return read_file(path, "picture")


MEMBER = ImageFolder
