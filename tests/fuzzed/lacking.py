"""A reader whose package is not installed."""

from perceiver_jax.errors import Code, MissingPackage
from tests.fuzzed.unfit import Unfit


class Lacking(Unfit):
    def make(self) -> dict[str, bytes]:
        raise MissingPackage(Code.DATA, "sounds need the package x", hint="pip install it")


MEMBER = Lacking
