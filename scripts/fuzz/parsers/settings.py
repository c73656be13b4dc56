"""Settings in text: flags that override a config, with a Python literal or a text as value. Config files are programs."""

from pathlib import Path

from perceiver_jax.settings import overrides
from perceiver_jax.settings.config import parse
from perceiver_jax.settings.files import load_config
from scripts.faults.tiny import CONFIG, ROOT
from scripts.fuzz.parser import Parser


class Settings(Parser):
    """A flag a line."""

    what = "flags"
    packages = ("pydantic", "ml-collections")

    def make(self) -> dict[str, bytes]:
        """Fields and sections of every type."""
        return {
            "numbers": b"model.num_latents=4\noptim.learning_rate=0.01\ntrain.duration=60 steps\nmodel.remat=none\n",
            "tuples": b"model.positions.max_resolution=(28.0, 28.0)\ntrain.eval_splits=('test',)\n",
            "sections": b"optim.schedule={'kind': 'constant'}\nmodel.positions={'kind': 'none'}\n"
            b"model.num_cross_attend_heads=1\n",
            "texts": b"data.sampling=class_balanced\ntrain.duration=3 epochs\nseed=7\nmodel.compute_dtype=bfloat16\n",
        }

    def read(self, name: str, data: bytes, folder: Path) -> None:
        """As a command line's."""
        given = {}
        for line in data.decode(errors="surrogateescape").split("\n"):
            field, equals, text = line.partition("=")
            if equals:
                given[field] = overrides.read(text)
        values = load_config(ROOT / CONFIG, "")
        overrides.apply(values, given)
        parse(values)


MEMBER = Settings
