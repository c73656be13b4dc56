"""What is written about a prepared data set: TFDS's own metadata, and what a preparation of ours adds; checked when read."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic import Field

from perceiver_jax.errors import Code, Failure, printable

INFO, MANIFEST = "dataset_info.json", "preparation.json"  # TFDS's, and ours
HEAD, HEAD_BYTES = "head", 128  # its name where it is recorded; the signature of a shard and its first record's checksum
_Size = Annotated[int, Field(ge=0, lt=2**63)]


class _Split(pydantic.BaseModel):
    name: str
    shard_lengths: list[_Size] = Field(alias="shardLengths", default=[])  # TFDS writes no empty list


class _Info(pydantic.BaseModel):
    file_format: str = Field(alias="fileFormat")
    others: list[str] = Field(alias="alternativeFileFormats", default=[])  # what a conversion in place has added
    splits: list[_Split]


class Shard(pydantic.BaseModel):
    """A file of records as it was written; older preparations have not recorded all."""

    size: _Size
    sha256: str = ""
    head: str = ""


class Manifest(pydantic.BaseModel):
    """What a preparation of ours adds."""

    fingerprint: str = ""  # of all that the data set is made from
    partial: bool
    shards: dict[str, Shard]
    settings: dict[str, Any] = {}


class Tree:
    """A prepared data set: its folder and what is written about it. To make one raises Failure(DATA) where it is damaged."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._info, self.info = _read(folder / INFO, _Info)
        self.formats = [self._info.file_format, *self._info.others]
        manifest, raw = Manifest(partial=False, shards={}), {"shards": {}}
        if (folder / MANIFEST).is_file():
            manifest, raw = _read(folder / MANIFEST, Manifest)
        self.partial: bool = manifest.partial
        self.shards: Mapping[str, Any] = raw["shards"]  # size, SHA-256, head, by name, of a tree of our own
        self.settings: Mapping[str, Any] = manifest.settings  # likewise

    def length(self, split: str) -> int:
        """The examples of a split by TFDS's name; 0 where it is missing."""
        return sum(sum(one.shard_lengths) for one in self._info.splits if one.name == split)

    def number(self, setting: str) -> int | None:
        """A setting of the preparation; None where it had none. Raises Failure(DATA) where it is no number."""
        value = self.settings.get(setting)
        if value is not None and type(value) is not int:
            raise _not_as_written(self.folder / MANIFEST, f"settings.{setting}: {printable(repr(value), 80)}")
        return value


def read_manifest(folder: Path) -> Manifest:
    """What a preparation of ours has added; raises Failure(DATA) where it has not, or that is damaged."""
    if not (folder / MANIFEST).is_file():
        raise Failure(Code.DATA, f"{MANIFEST}: is missing", f"{folder}", hint="prepare the data set again")
    return _read(folder / MANIFEST, Manifest)[0]


def head(shard: Path) -> str:
    """The first bytes of a shard, in hexadecimal: shards of one size differ in them. Raises OSError."""
    with open(shard, "rb") as file:
        return file.read(HEAD_BYTES).hex()


def _read(path: Path, kind: type[pydantic.BaseModel]) -> tuple[Any, Any]:
    """What a JSON file holds, checked and as it is; raises Failure(DATA) with the line or the field where it is damaged."""
    try:
        return _parsed(path, path.stat().st_mtime_ns, kind)
    except json.JSONDecodeError as error:
        hint = "prepare the data set again"
        raise Failure(Code.DATA, f"{path.name}: not JSON at line {error.lineno}", f"{path.parent}", hint=hint) from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise _not_as_written(
            path, printable(f"{field}: {first['msg'].lower()}" if field else first["msg"].lower())
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise Failure(Code.DATA, f"{path.name}: cannot be read", f"{path.parent}", found=str(error)) from None


@functools.lru_cache(maxsize=8)
def _parsed(path: Path, stamp: int, kind: type[pydantic.BaseModel]) -> tuple[Any, Any]:
    del stamp  # a changed file is another key
    found = json.loads(path.read_text(encoding="utf-8"))
    return kind.model_validate(found), found


def _not_as_written(path: Path, found: str) -> Failure:
    hint = "restore it from a copy, or prepare the data set again"
    return Failure(Code.DATA, f"{path.name}: is not as it was written", f"{path.parent}", found=found, hint=hint)
