"""A reader that fails at every damaged input in the same way."""

from pathlib import Path

from scripts.fuzz.parser import Parser


class Once(Parser):
    what = "one thing"
    packages = ()

    def make(self) -> dict[str, bytes]:
        return {"a": b"as it is"}

    def read(self, name: str, data: bytes, folder: Path) -> None:
        if data != b"as it is":
            raise ValueError("as always")


MEMBER = Once
