"""The packages of the extra `audio`, imported by the first file that needs them."""

import functools
import importlib
from types import ModuleType

from perceiver_jax.errors import Code, MissingPackage


@functools.cache
def package(name: str) -> ModuleType:
    """soundfile, av or soxr; raises MissingPackage where it is not installed."""
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: soundfile without its library
        what = f"sounds and films need the package {name}"
        raise MissingPackage(Code.DATA, what, found=str(error), hint="pip install -e .[audio]") from None
    if name == "av":
        module.logging.set_level(None)  # its errors come as exceptions
    return module
