"""A reader that does not read its own seed."""

from pathlib import Path

from perceiver_jax.readers import BadFile
from scripts.fuzz.parser import Parser


class Unfit(Parser):
    what = "nothing"
    packages = ()

    def make(self) -> dict[str, bytes]:
        return {"a": b"a"}

    def read(self, name: str, data: bytes, folder: Path) -> None:
        raise BadFile("damaged", "is damaged")


MEMBER = Unfit
