"""How Sphinx makes a site of these pages: `make docs`."""

import os
import shutil
import sys
from pathlib import Path

from latex2mathml import converter

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [f"{ROOT}", f"{DOCS}"]

project, author = "perceiver_jax", "the authors of perceiver_jax"
html_show_copyright = False
extensions = ["myst_nb", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "from_source"]
highlight_language = "none"  # most blocks are commands and what they print
html_theme, html_title = "furo", "perceiver_jax"
html_static_path, html_css_files = ["_static"], ["site.css"]
html_math_renderer = "mathml"

# Pages
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# Tutorials: each is executed in a copy of the project, and what it prints is on its page.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 900  # seconds for a cell
nb_merge_streams = True
BEGIN = DOCS / "begin.py"  # what every notebook begins with

# The library, from docstrings: a page for every room
apidoc_modules = [{"path": f"{ROOT}/perceiver_jax", "destination": "api/generated", "module_first": True}]
os.environ["SPHINX_APIDOC_OPTIONS"] = "members,show-inheritance"  # pages of packages take them from nowhere else
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # they are in the signatures, as written
add_module_names = toc_object_entries = False
exclude_patterns = ["_build", "api/generated/modules.rst"]


def setup(app):
    """Adds what is ours to Sphinx."""
    app.add_html_math_renderer("mathml", (_inline_math, None), (_block_math, None))
    app.connect("builder-inited", _prepare_kernels)


def _prepare_kernels(app):
    """Lets every notebook begin with `begin.py`, and the commands of this environment be found."""
    startup = Path(app.outdir).parent / "ipython/profile_default/startup"
    startup.mkdir(parents=True, exist_ok=True)
    shutil.copy(BEGIN, startup)
    os.environ |= {"IPYTHONDIR": f"{startup.parents[1]}", "PROJECT": f"{ROOT}"}
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def _inline_math(translator, node):
    _write_math(translator, node, "inline")


def _block_math(translator, node):
    _write_math(translator, node, "block")


def _write_math(translator, node, display):
    """Formulas as MathML, which browsers draw by themselves."""
    from docutils.nodes import SkipNode

    translator.body.append(converter.convert(node.astext(), display=display))
    raise SkipNode
