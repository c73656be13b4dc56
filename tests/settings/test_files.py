"""Config files: what they can import, and those that are shipped."""

import sys
from pathlib import Path

import pytest

import perceiver_jax
from configs import digits, imagenet
from perceiver_jax.errors import Code, Failure
from perceiver_jax.settings.config import parse
from perceiver_jax.settings.files import load_config, shipped
from perceiver_jax.settings.rows import architecture

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _as_before():
    """Modules that a test's files have imported are gone when it is over."""
    yield
    for name in [name for name in sys.modules if name.startswith("kept_")]:
        del sys.modules[name]


def written(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def fault(path: Path, variant: str = "") -> str:
    with pytest.raises(Failure) as caught:
        load_config(path, variant)
    assert caught.value.code == Code.CONFIG
    return str(caught.value).removeprefix("error[2] ")


# What a config file can import

BASE = """
from configs.digits import get_config as digits


def base():
    config = digits()
    config.seed = 7
    return config
"""
IMPORTS = {
    "a neighbour": "import kept_base\ndef get_config():\n    return kept_base.base()\n",
    "a neighbour, when it is called": "def get_config():\n    import kept_base\n    return kept_base.base()\n",
    "what a neighbour has": "from kept_base import base as get_config\n",
    "a member of its folder": "from kept_mine import kept_base\ndef get_config():\n    return kept_base.base()\n",
    "what a member of its folder has": "from kept_mine.kept_base import base as get_config\n",
}


@pytest.mark.parametrize("text", IMPORTS.values(), ids=list(IMPORTS))
def test_a_config_file_can_import(tmp_path, text):
    written(tmp_path / "kept_mine", "kept_base.py", BASE)
    assert load_config(written(tmp_path / "kept_mine", "x.py", text)).seed == 7


def test_a_config_file_is_found_by_a_path_from_here(tmp_path, monkeypatch):
    written(tmp_path / "kept_mine", "kept_base.py", BASE)
    written(tmp_path / "kept_mine", "x.py", IMPORTS["a neighbour"])
    monkeypatch.chdir(tmp_path / "kept_mine")
    assert load_config(Path("x.py")).seed == 7


def test_a_neighbour_does_not_shadow_what_is_installed(tmp_path):
    written(tmp_path, "json.py", "raise RuntimeError\n")
    text = "import json\nfrom configs.digits import get_config\nassert json.loads('3') == 3\n"
    assert load_config(written(tmp_path, "x.py", text)) == digits.get_config()


@pytest.mark.parametrize(
    "text", ["import not_there\n", "def get_config():\n    return {}\n", BASE.replace("base", "get_config")]
)
def test_what_is_imported_from_is_as_before_once_a_config_is_read(tmp_path, text):
    before = list(sys.path)
    path = written(tmp_path, "x.py", text)
    if "seed" in text:
        load_config(path)
    else:
        fault(path)
    assert sys.path == before


def test_a_neighbour_that_fails_is_reported_by_the_line_that_imports_it(tmp_path):
    written(tmp_path, "kept_broken.py", "x = 1\ny = x / 0\n")
    path = written(tmp_path, "x.py", "import json\nimport kept_broken\n")
    assert fault(path) == f"config {path} line 2: ZeroDivisionError: division by zero"


# Those that are shipped


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/[!_]*.py")), ids=lambda path: path.stem)
def test_each_shipped_config_is_found_by_its_name(path):
    assert shipped(path.stem) == path


def test_inside_a_wheel_the_shipped_configs_are_those_of_the_package(monkeypatch, tmp_path):
    from perceiver_jax.settings import files

    (tmp_path / "perceiver_jax" / "configs").mkdir(parents=True)
    monkeypatch.setattr(files, "__file__", str(tmp_path / "perceiver_jax" / "settings" / "files.py"))
    assert shipped("imagenet") == tmp_path / "perceiver_jax" / "configs" / "imagenet.py"


@pytest.mark.parametrize(
    ("row", "variant"), [("imagenet", "fourier"), ("imagenet:learned", "learned"), ("imagenet:io", "io")]
)
def test_an_architecture_is_the_model_of_its_config(row, variant):
    assert architecture(row) == parse(imagenet.get_config(variant)).model


def test_the_package_offers_architectures():
    assert perceiver_jax.architecture is architecture


def reported(row: str) -> str:
    with pytest.raises(Failure) as caught:
        architecture(row)
    assert caught.value.code == Code.CONFIG
    return str(caught.value).removeprefix("error[2] ")


def test_an_architecture_of_no_variant_is_reported_the_variants():
    assert reported("imagenet:learnt").startswith(
        "variant: unknown value 'learnt'\n  expected: one of learned, fourier, permuted, "
    )


def test_an_architecture_of_a_config_without_variants_is_reported_so():
    assert reported("digits:big") == f"config {shipped('digits')}: has no variants; got 'big'"


def test_an_architecture_of_no_config_is_reported_the_nearest():
    assert reported("imagnet") == f"config {shipped('imagnet')}: does not exist\n  try: {shipped('imagenet')}"
