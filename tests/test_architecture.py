"""The shape of the code itself: who may import whom, how long things get, and that no setting is dead."""

import ast
import functools
import graphlib
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from ml_collections import ConfigDict
from pydantic_core import PydanticUndefined

import perceiver_jax
from configs import digits
from perceiver_jax.model import factory
from perceiver_jax.model.config import FourierPositions, LearnedPositions, ModalityVectors, NoPositions, PerceiverConfig
from perceiver_jax.runs import accounting
from perceiver_jax.runs.problem import Problem, resolve
from perceiver_jax.runs.programs import Programs
from perceiver_jax.section import Section
from perceiver_jax.settings.config import Config, parse
from tests.settings import two_streams

ROOT = Path(__file__).parents[1]
OUTSIDE = ("configs", "experiments", "scripts", "tests")
# Each part imports itself and parts of earlier lines alone; parts of one line do not know each other.
ORDER = """
    errors section
    members system readers
    tasks report
    modalities launch
    data model training
    baselines
    settings
    runs
    command
"""
FILE_LINES, FUNCTION_LINES = 260, 65
# What looks something up in a dictionary that may lack it, by file; a config is never asked like that.
LOOKUPS = {
    "runs/accounting.py": {"counts"},
    "settings/faults.py": {"fault", "values"},  # pydantic's records, a path in a config's faulty values
    "model/read.py": {"mesh.shape"},  # a mesh, perhaps without that axis, or none
    "readers/__init__.py": {"_HINTS"},  # by code; the others have one hint
    "readers/glb.py": {"chunks"},  # by kind, perhaps without numbers
    "readers/screens.py": {"small.side_data"},  # what is stored beside a frame, perhaps nothing
    "readers/gltf_arrays.py": {"self.values"},  # a file's JSON
    "readers/sf2.py": {"self.presets", "zone"},  # by number, those that a file has
    "launch/local.py": {"os.environ"},
    "report/curves.py": {"LEAST_TOP"},
    "report/log.py": {"record"},  # a line of metrics.jsonl, perhaps cut off
    "data/pipeline.py": {"os.environ"},
    "data/prepared.py": {"tree.shards"},  # by name, of trees of our own
    "data/prepared_tree.py": {"self.settings"},  # likewise
    "report/progress.py": {"os.environ"},
    "training/checkpoint.py": {"stored", "wanted"},  # arrays by name, of two trees to compare
    "system/devices.py": {"os.environ"},
    "system/watch.py": {"self._seen"},  # by process, those that have shown something
    "system/processes.py": {"expected", "facts", "those"},  # facts of two processes to compare
    "training/manifest.py": {"body"},  # a manifest, perhaps of a newer format
    "training/meter.py": {"self._sums"},
    "runs/problem.py": {"sizes", "stored.num_examples"},  # by split, of two states of the data to compare, of a file
    "settings/upgrade.py": {"values", "augment", "ADDED_TO_DATA"},  # a config of version 0.1, what some of its sources lack
    "runs/facts.py": {"first", "record"},  # records of metrics.jsonl, which may log anything
    "runs/written.py": {"base", "now"},  # settings of two configs
    "runs/workdir.py": {
        "old",
        "new",
        "kept",
        "config_json.read(workdir.config)",
    },  # settings of two runs; config.json, of a run never lengthened
}


FRONT = "perceiver_jax/__init__.py"  # names what is in the rooms, and imports it when it is asked for


def sources(*folders: str) -> dict[str, ast.Module]:
    """The syntax of every Python file in some folders, by its path."""
    paths = [path for folder in folders for path in sorted(ROOT.joinpath(folder).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in paths}


PACKAGE = sources("perceiver_jax")
MODULES = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in PACKAGE}


def without_type_checking(tree: ast.Module) -> ast.Module:
    """A file without what only type checkers read."""
    kept = [node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")]
    return ast.Module(kept, tree.type_ignores)


PACKAGE[FRONT], FRONT_NAMES = without_type_checking(PACKAGE[FRONT]), PACKAGE[FRONT]


def imported(tree: ast.Module) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written out in full"
            full = {alias: f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else node.module for name in full.values()}
    return names


def part(module: str) -> str:
    """The file or folder of the package that a module is in."""
    return module.split(".")[1] if "." in module else ""


def walk_sections() -> list[type[Section]]:
    """Every kind of section there is."""
    for module in pkgutil.walk_packages(perceiver_jax.__path__, "perceiver_jax."):
        rooms = {"sources", "modalities", "tasks"} & set(module.name.split("."))
        if module.name.rpartition(".")[2] == "config" or rooms:
            importlib.import_module(module.name)
    found, fresh = [], [Section]
    while fresh:
        fresh = [kind for parent in fresh for kind in parent.__subclasses__() if kind.__module__.startswith("perceiver_jax")]
        found += fresh
    return found


def test_imports_go_down():
    order = [line.split() for line in ORDER.strip().splitlines()]
    level = {name: i for i, names in enumerate(order) for name in names} | {"": -1}
    assert {part(module) for module in MODULES} == set(level)
    wrong = []
    for name, tree in PACKAGE.items():
        here = part(name.removesuffix(".py").replace("/", "."))
        here = "" if here == "__init__" else here
        for module in imported(tree):
            there = part(module) if module.partition(".")[0] == "perceiver_jax" else ""
            if there != here and level[there] >= level[here]:
                wrong.append(f"{name} imports {module}")
    assert wrong == []


def test_no_module_imports_itself_through_others():
    graph = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): imported(tree) & MODULES
        for name, tree in PACKAGE.items()
    }
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, naming the cycle


def test_the_packages_front_imports_nothing_until_it_is_asked():
    code = "import sys, perceiver_jax; print([name for name in sys.modules if name.startswith('perceiver_jax.')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "[]\n")


def test_the_packages_front_has_the_names_that_type_checkers_see():
    lines = [node for node in ast.walk(FRONT_NAMES) if isinstance(node, ast.ImportFrom) and node.module != "typing"]
    homes = {alias.asname: node.module for node in lines for alias in node.names}
    assert {name: f"perceiver_jax.{home}" for name, home in perceiver_jax._HOMES.items()} == homes
    for name, home in homes.items():
        assert getattr(perceiver_jax, name) is getattr(importlib.import_module(home), name)


def test_the_package_knows_nothing_of_those_who_use_it():
    wrong = {name: {m for m in imported(tree) if m.partition(".")[0] in OUTSIDE} for name, tree in PACKAGE.items()}
    assert {name: modules for name, modules in wrong.items() if modules} == {}


def test_configs_need_nothing_of_the_package_but_their_own_kind():
    allowed = {"ml_collections", "perceiver_jax.settings.config", "configs", "collections.abc", "typing"}
    for name, tree in sources("configs").items():
        assert {m for m in imported(tree) if m not in allowed and not m.startswith("configs.")} == set(), name


def test_tests_and_scripts_are_imported_by_nobody_else():
    for name, tree in sources("configs", "experiments", "scripts").items():
        others = {"tests", "experiments", "scripts"} - {name.partition("/")[0]}
        assert {m for m in imported(tree) if m.partition(".")[0] in others} == set(), name


def test_no_file_is_long():
    files = [ROOT / name for name in sources("perceiver_jax", "configs", "experiments", "scripts")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > FILE_LINES} == {}


def test_no_function_is_long():
    long = {}
    for name, tree in sources("perceiver_jax", "experiments", "scripts", "tests").items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > FUNCTION_LINES:
                long[f"{name}: {node.name}"] = node.end_lineno - node.lineno + 1
    assert long == {}


def test_every_file_has_a_noun():
    assert [name for name in MODULES if re.search(r"(^|[._])(utils?|helpers?|misc|common)$", name)] == []


def test_no_setting_has_a_default_beside_the_config_file():
    for kind in walk_sections():
        for name, field in kind.model_fields.items():
            assert (field.default, field.default_factory) == (PydanticUndefined, None), f"{kind.__name__}.{name}"


def names_read(tree: ast.AST) -> Iterator[str]:
    """Every attribute that code reads: `x.name`, a class pattern's `name=...`, the argument "name" of a call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr
        elif isinstance(node, ast.MatchClass):
            yield from node.kwd_attrs
        elif isinstance(node, ast.Call):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def test_every_field_of_every_section_is_read():
    kinds = walk_sections()
    assert {Config, PerceiverConfig} < set(kinds)
    read = {name for tree in PACKAGE.values() for name in names_read(tree)}
    fields = {(kind.__name__, name) for kind in kinds for name in kind.model_fields if name != "kind"}
    assert {field for field in fields if field[1] not in read} == set()


def test_no_config_is_asked_with_a_default():
    wrong, asked_of = [], {}
    for name, tree in PACKAGE.items():
        allowed = LOOKUPS.get(name.removeprefix("perceiver_jax/"), set())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
                receiver = ast.unparse(node.func.value)
                wrong += [] if receiver in allowed else [f"{name}:{node.lineno} {receiver}.get("]
                asked_of.setdefault(name.removeprefix("perceiver_jax/"), set()).add(receiver)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
                asked = ast.unparse(node.args[0])
                wrong += [f"{name}:{node.lineno} {ast.unparse(node)}"] if "config" in asked and len(node.args) > 2 else []
    assert wrong == []
    assert asked_of == LOOKUPS


def test_no_tracked_file_names_this_machine_or_a_package_host():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no git checkout")
    # Written in pieces, so that this file does not name them.
    words = [
        "(^|[^.\\w])/(" + "work|farm|root" + ")/",
        "index-" + "url",
        "find-" + "links",
        "pypi" + r"\.org",
        "python" + "hosted",
    ]
    pattern = re.compile("|".join(words))
    wrong = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and path.suffix not in (".png", ".gz", ".npz"):  # the golden checkpoint's files have no suffix
            lines = path.read_bytes().decode(errors="replace").splitlines()
            wrong += [f"{name}:{i + 1} {line.strip()}" for i, line in enumerate(lines) if pattern.search(line)]
    assert wrong == []


def test_what_runs_before_jax_does_not_import_it():
    code = """
import pkgutil, importlib, sys
import perceiver_jax.baselines.config, perceiver_jax.data.sources, perceiver_jax.modalities, perceiver_jax.tasks
import perceiver_jax.settings
from perceiver_jax import command, errors, members, section
from perceiver_jax.system import disk, memory, signals
from perceiver_jax.runs import begin, load, page, problem, workdir
from perceiver_jax.data import checking, examples, pipeline
from perceiver_jax.model import config, schedule
from perceiver_jax.report import clouds, confusion, maps, progress, selection, tables
from perceiver_jax.training import config, manifest
for package in (perceiver_jax.data.sources, perceiver_jax.modalities, perceiver_jax.settings):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
for kind in perceiver_jax.members.kinds(perceiver_jax.tasks):
    perceiver_jax.members.member(perceiver_jax.tasks, kind, "")
print(*sorted({"jax", "flax", "optax", "grain", "orbax", "tensorstore", "cv2", "sklearn", "matplotlib"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "\n")


# Every setting of the model is alive: what changes with it


def schedule(problem: Problem):
    """What the forward pass walks."""
    return problem.config.model.schedule


def parameters(problem: Problem):
    """The parameters of each part."""
    return accounting.module_parameters(problem)


def flops(problem: Problem):
    """Operations of one example by the paper's rule."""
    return accounting.paper_flops(problem)


def program(problem: Problem):
    """The traced program of the forward pass, in text."""
    graph, params = nnx.split(accounting.abstract_model(problem))
    inputs, masks = accounting.example_shapes(problem, 2)
    return str(jax.make_jaxpr(lambda params, *given: nnx.merge(graph, params)(*given).logits)(params, inputs, masks))


def traced_logits(problem: Problem):
    """The traced program of a run's logits, in text."""
    programs = Programs(problem)
    state = programs.abstract_state
    inputs, masks = accounting.example_shapes(problem, 2)
    return str(jax.make_jaxpr(programs.logits)(state.evaluated, inputs, masks))


def initialisation(problem: Problem):
    """The traced program that makes the initial parameters, in text."""
    parts = problem.config.model, problem.inputs, problem.task.num_outputs
    return str(jax.make_jaxpr(lambda: nnx.state(factory.make_model(*parts, nnx.Rngs(0)), nnx.Param))())


def input_array(problem: Problem):
    """The input array of a black picture."""
    (segment,) = accounting.abstract_model(problem).inputs(jnp.zeros((1, 8, 8, 1)))
    return np.asarray(segment.array()).tolist()


LEARNED = {"kind": "learned", "channels": 4, "init_scale": 0.02}
# field: a value other than the digits config's, and what it changes
EFFECTS = {
    "num_latents": (8, parameters),
    "latent_channels": (64, parameters),
    "latent_init_scale": (0.5, initialisation),
    "num_blocks": (3, schedule),
    "num_cross_attends": (1, schedule),
    "num_self_attends_per_block": (1, parameters),
    "arrangement": ("at_start", schedule),
    "sharing": ("none", parameters),
    "num_cross_attend_heads": (19, program),
    "num_self_attend_heads": (2, program),
    "widening_factor": (2, parameters),
    "positions": (LEARNED, parameters),
    "positions.num_bands": (3, parameters),
    "positions.max_resolution": ((8.0, 6.0), input_array),
    "head": ("query", parameters),
    "compute_dtype": ("bfloat16", program),
    "matmul_precision": ("default", traced_logits),
    "remat": ("block", program),
}
EFFECTS_OF_LEARNED = {"positions.channels": (5, parameters), "positions.init_scale": (1.0, initialisation)}
EFFECTS_OF_STREAMS = {  # on those of tests/settings/two_streams.py
    "modality_vectors.channels": (4, parameters),
    "modality_vectors.init_scale": (0.5, initialisation),
}
ROWS = [
    *((name, *row, "plain") for name, row in EFFECTS.items()),
    *((name, *row, "learned") for name, row in EFFECTS_OF_LEARNED.items()),
    *((name, *row, "two streams") for name, row in EFFECTS_OF_STREAMS.items()),
]


def base(which: str) -> dict[str, Any]:
    """The values of a config that a test changes."""
    values = (two_streams if which == "two streams" else digits).get_config().to_dict()
    values["model"]["num_cross_attend_heads"] = 1
    if which == "plain":
        values["model"]["positions"]["num_bands"] = 4
    if which == "learned":
        values["model"]["positions"] = dict(LEARNED)
    return values


def changed(name: str, value, which: str = "plain") -> Problem:
    values = base(which)
    *parents, leaf = name.split(".")
    section = values["model"]
    for parent in parents:
        section = section[parent]
    section[leaf] = value
    return resolve(parse(ConfigDict(values)))


@functools.cache
def before(observe, which: str):
    return observe(resolve(parse(ConfigDict(base(which)))))


def test_every_setting_of_the_model_has_a_row_here():
    def fields(kind, prefix=""):
        return {prefix + name for name in kind.model_fields if name != "kind"}

    positions = fields(FourierPositions, "positions.") | fields(LearnedPositions, "positions.")
    assert fields(NoPositions) == set()
    vectors = fields(ModalityVectors, "modality_vectors.")  # with one stream there are none
    rows = [name for name, *_ in ROWS]
    assert set(rows) == fields(PerceiverConfig) - {"modality_vectors"} | positions | vectors
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize(("name", "value", "observe", "which"), ROWS, ids=[name for name, *_ in ROWS])
def test_every_setting_of_the_model_matters(name, value, observe, which):
    assert observe(changed(name, value, which)) != before(observe, which)


@pytest.mark.parametrize("heads", ["num_cross_attend_heads", "num_self_attend_heads"])
def test_each_head_has_logits_of_its_own(heads):
    problem = changed(heads, {"num_cross_attend_heads": 19, "num_self_attend_heads": 2}[heads])
    assert flops(problem) != before(flops, "plain")


def test_each_remat_is_a_program_of_its_own():
    assert len({program(changed("remat", remat)) for remat in ("none", "block", "layer")}) == 3


def test_compute_dtype_is_that_of_the_matmuls():
    assert "bf16[" not in program(changed("compute_dtype", "float32"))
    assert "bf16[" in program(changed("compute_dtype", "bfloat16"))


def test_positions_none_leave_the_features_alone():
    assert np.asarray(input_array(changed("positions", {"kind": "none"}))).shape == (1, 64, 1)
