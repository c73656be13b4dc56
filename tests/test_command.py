"""The entry point of every command: what each wrong word on the command line, and each kind of end, looks like."""

import ast
import re
import resource
import runpy
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from absl import flags

from configs import digits
from perceiver_jax import command
from perceiver_jax.errors import Code, Failure, Stopped
from perceiver_jax.runs import workdir
from perceiver_jax.runs.problem import resolve
from perceiver_jax.section import of_stream
from perceiver_jax.settings import files
from perceiver_jax.settings.config import parse
from perceiver_jax.training import manifest
from tests import notebooks
from tests.door import fresh_flags
from tests.launch import on_devices

ROOT = Path(__file__).parents[1]
DIGITS = ("--config", "configs/digits.py")


@pytest.fixture(autouse=True)
def _door(monkeypatch):
    monkeypatch.chdir(ROOT)
    with fresh_flags():
        yield


@pytest.fixture
def end_of(monkeypatch, capsys):
    """Runs `main` as a program with some arguments: its exit code, stdout and stderr."""

    def end_of(main, *arguments, takes_files=False):
        monkeypatch.setattr(sys, "argv", ["program", *arguments])
        with pytest.raises(SystemExit) as end:
            command.run(main, takes_files)
        return end.value.code, *capsys.readouterr()

    return end_of


@pytest.fixture
def launch(monkeypatch, capsys):
    """Runs a program of the repository in this process: its exit code and stderr."""

    def launch(program, *arguments):
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(f"{ROOT}/{program}", run_name="__main__")
        return end.value.code, capsys.readouterr().err

    return launch


@pytest.fixture
def train(launch, tmp_path):
    """Launches training into a workdir that nothing may have been written to, for it fails before."""

    def train(*arguments):
        code, err = launch("experiments/train.py", "--workdir", tmp_path / "run", *arguments)
        assert not (tmp_path / "run").exists()
        return code, err

    return train


def run_python(code, *arguments, **options):
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT, **options)


# Command lines, and overrides of fields


CHOICES = "\n  expected: one of augment, data, mesh, model, optim, seed, task, train, views"
OPTIM = (
    "\n  expected: one of optim.accumulation_steps, optim.b1, optim.b2, optim.clip_norm, optim.ema_decay, optim.eps,"
    " optim.kind, optim.learning_rate, optim.schedule, optim.weight_decay"
)
LENGTHS = 'expected a length above 0 such as "2000 steps", "50000 examples" or "120 epochs"'
MISTAKES = [
    ([], "--config is missing"),
    (["--config"], "Missing value for flag --config"),
    ([*DIGITS, "--confg.seed=3"], "Unknown command line flag 'confg.seed'"),
    (
        [*DIGITS, "--optim.learning_rate=1"],
        "Unknown command line flag 'optim.learning_rate'\n  try: --config.optim.learning_rate=VALUE",
    ),
    ([*DIGITS, "--wrkdir=x"], "Unknown command line flag 'wrkdir'. Did you mean: workdir?"),
    ([*DIGITS, "--tiny=maybe"], "flag --tiny=maybe: ('Non-boolean argument to boolean flag', 'maybe')"),
    ([*DIGITS, "extra"], "unexpected argument 'extra'\n  try: every setting is a flag: --name=value"),
    (["--config", "configs/digits.py:big"], "config configs/digits.py: has no variants; got 'big'"),
    (
        ["--config", "configs/imagenet.py:io2"],
        "variant: unknown value 'io2'\n  expected: one of io, fourier, ",
    ),
    (["--config", "configs/digit.py"], "config configs/digit.py: does not exist\n  try: configs/digits.py"),
    (["--config", "configs"], "config configs: is a directory"),
    (["--config", "nowhere/x.py"], "config nowhere/x.py: does not exist"),
    ([*DIGITS, "--config.seed"], "--config.seed: no value"),
    ([*DIGITS, "--config.seed", "--tiny"], "--config.seed: no value"),
    ([*DIGITS, "--config.seed=1", "--config.seed=2"], "--config.seed: given twice, 1 and 2"),
    ([*DIGITS, "--config.seed.x=3"], "--config.seed.x: seed is not a section but 0"),
    (
        [*DIGITS, f"--config.optim.learning_rate={10**400}"],
        "--config.optim.learning_rate: is too large\n  expected: at most 1.8e+308",
    ),
    ([*DIGITS, "--config.model=3"], "--config.model: is a section\n  try: --config.model.FIELD=VALUE"),
    ([*DIGITS, "--config.model=None"], "model: expected a section, got None"),
    ([*DIGITS, "--config.optim.name=lamb"], f"unknown key optim.name{OPTIM}"),
    (
        [*DIGITS, "--config.train.label_smoothing=0.1"],
        "unknown key train.label_smoothing; did you mean task.label_smoothing?",
    ),
    (
        [*DIGITS, "--config.views.stream_dropout.image=0.1"],
        "views.stream_dropout {'image': 0.1}: expected probabilities, together at most 1, for some of several streams; the"
        " data have image",
    ),
    (
        [*DIGITS, '--config.optim.schedule={"a.b": 3}'],
        "--config.optim.schedule: expected names without dots as keys, got {'a.b': 3}",
    ),
    (
        [*DIGITS, "--config.optim.schedule={'kind': 'constant', 3: {}}"],
        "--config.optim.schedule: expected names without dots as keys, got {'kind': 'constant', 3: {}}",
    ),
    ([*DIGITS, "--config.zzz=3"], f"unknown key zzz{CHOICES}"),
    ([*DIGITS, "--config.modle.num_latent=3"], "unknown key modle.num_latent; did you mean model.num_latents?"),
    ([*DIGITS, "--config.model.learning_rate=3"], "unknown key model.learning_rate; did you mean optim.learning_rate?"),
    (
        [*DIGITS, "--config.train.eval_splits=test"],
        "train.eval_splits: expected tuple of one or more of validation, test, such as ('validation',), got 'test'",
    ),
    ([*DIGITS, "--config.train.duration=100"], f"train.duration: {LENGTHS}, got '100'"),
    ([*DIGITS, "--config.train.duration=None"], f"train.duration: {LENGTHS}, got 'None'"),
    (
        [*DIGITS, "--flagfile=nowhere.txt"],
        "Unable to open flagfile: [Errno 2] No such file or directory: 'nowhere.txt'",
    ),
    (
        [*DIGITS, "--config.optim.schedule=3"],
        (
            "--config.optim.schedule: is a section\n  try: --config.optim.schedule.FIELD=VALUE, or the whole:"
            """ --config.optim.schedule="{'kind': 'flat_cosine', 'flat_fraction': 0.5}\""""
        ),
    ),
    ([*DIGITS, "--config.data.batch_size=7.5"], "data.batch_size: expected integer >= 1, got 7.5"),
    ([*DIGITS, "--config.data.batch_size=1e3"], "data.batch_size: expected integer >= 1, got 1000.0"),
    ([*DIGITS, "--config.data.batch_size=eight"], "data.batch_size: expected integer >= 1, got 'eight'"),
    ([*DIGITS, "--config.data.batch_size="], "data.batch_size: expected integer >= 1, got ''"),
    ([*DIGITS, "--config.seed=" + "(" * 5000], f"seed: expected integer, got '{'(' * 96}..."),
    ([*DIGITS, "--config.seed=" + "-" * 9000 + "1"], f"seed: expected integer, got '{'-' * 96}..."),
    ([*DIGITS, "--config.seed={[]: 1}"], "seed: expected integer, got '{[]: 1}'"),
    ([*DIGITS, "--config.optim.learning_rate=1,e-3"], "optim.learning_rate: expected finite number > 0, got '1,e-3'"),
    (
        [*DIGITS, '--config.model.positions={"kind": "learned", "channels": 4}'],
        "missing key model.positions.init_scale\n  try: every field is written out: see configs/digits.py",
    ),
    ([*DIGITS, "--tiny", "--config.model.num_latents=x"], "model.num_latents: expected integer >= 1, got 'x'"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(words)[-50:] or "-" for words, _ in MISTAKES])
def test_a_wrong_command_line_is_reported_in_these_words(train, arguments, message):
    code, err = train(*arguments)
    assert code == Code.CONFIG
    if message.endswith(", "):  # the other variants follow
        assert err.startswith(f"error[2] {message}")
    else:
        assert err == f"error[2] {message}\n"


def test_training_needs_a_workdir(launch):
    assert launch("experiments/train.py", *DIGITS) == (2, "error[2] --workdir is missing\n")


def test_a_command_without_config_takes_no_override(launch):
    reported = "error[2] --config.seed: this command takes no config\n"
    assert launch("experiments/evaluate.py", "--workdir", "x", "--config.seed=3") == (2, reported)


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--config.seed=7"], "seed", 7),
        (["--config.seed", "7"], "seed", 7),
        (["-config.seed=7"], "seed", 7),
        (["--config.seed=7", "--config.seed=7"], "seed", 7),
        (["--config.optim.learning_rate=2e-3"], "optim.learning_rate", 0.002),
        (["--config.optim.weight_decay=0"], "optim.weight_decay", 0.0),
        (["--config.optim.clip_norm=None"], "optim.clip_norm", None),
        (["--config.optim.ema_decay=0.99"], "optim.ema_decay", 0.99),
        (["--config.model.sharing=none"], "model.sharing", "none"),
        (["--config.train.duration=20 epochs"], "train.duration", "20 epochs"),
        (["--config.train.duration", "20 epochs"], "train.duration", "20 epochs"),
        (["--config.train.duration='20 epochs'"], "train.duration", "20 epochs"),
        (["--config.model.positions.max_resolution=(28.0, 14)"], "model.positions.max_resolution", (28.0, 14.0)),
        (['--config.augment={"kind": "none"}'], "augment.kind", "none"),
        (['--config.optim.schedule={"kind":"steps","milestones":(0.5,),"factor":0.1}'], "optim.schedule.milestones", (0.5,)),
        (["--tiny", "--config.train.log_every=9 steps"], "train.log_every", "9 steps"),
        (["--tiny", "--config.train.duration=1500 steps"], "train.duration", "1500 steps"),
        (["--tiny", "--config.seed=7"], "train.duration", "6 steps"),
        (
            ["--tiny", "--config.model.num_self_attend_heads=4", "--config.model.latent_channels=64"],
            "model.latent_channels",
            64,
        ),
        (
            ["--tiny", "--config.model.positions={'kind': 'fourier', 'num_bands': 8, 'max_resolution': (8.0, 8.0)}"],
            "model.positions.num_bands",
            8,
        ),
    ],
    ids=str,
)
def test_an_override_sets_its_field(end_of, arguments, name, value):
    command.define_config()
    seen = []
    code, _, err = end_of(lambda: seen.append(command.config()), *DIGITS, *arguments)
    assert (code, err) == (0, "")
    found = seen[0]
    for part in name.split("."):
        found = getattr(of_stream(found, "image") if isinstance(found, dict) else found, part)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "found"), [("2024", "2024"), ("1e3", "1e3"), ("'x'", "x"), ("None", "None"), ("(1)", "(1)")]
)
def test_a_text_field_takes_any_text(end_of, text, found):
    command.define_config()
    seen = []
    arguments = ["--config", "configs/image_folder.py", f"--config.data.data_dir={text}", f"--config.data.labels={text}"]
    assert end_of(lambda: seen.append(command.config()), *arguments) == (0, "", "")
    assert seen[0].data.data_dir == found
    assert seen[0].data.labels == (None if text == "None" else found)


def test_flags_may_stand_in_files_and_the_command_line_wins(end_of, tmp_path):
    command.define_config()
    (tmp_path / "more.txt").write_text("--config.train.duration=9 steps\n")
    flagfile = tmp_path / "flags.txt"
    lines = "# a recipe\n--config=configs/digits.py\n\n--config.optim.learning_rate=0.01\n--config.seed=5\n"
    flagfile.write_text(f"{lines}--flagfile={tmp_path}/more.txt\n")
    for arguments in ([f"--flagfile={flagfile}", "--config.seed=6"], ["--config.seed=6", "--flagfile", str(flagfile)]):
        seen = []
        assert end_of(lambda seen=seen: seen.append(command.config()), *arguments) == (0, "", "")
        assert (seen[0].optim.learning_rate, seen[0].seed, seen[0].train.duration) == (0.01, 6, "9 steps")


def test_a_leading_tilde_is_the_home_directory_in_every_path(end_of, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.py").write_text("from configs.image_folder import get_config\n")
    command.define_config()
    holder = flags.DEFINE(command.PATH, "place", None, "")
    seen = []
    arguments = ["--config=~/mine.py", "--place=~/runs/a", "--config.data.data_dir=~/pictures", "~/x.png"]

    def main(files):
        seen.append((command.config().data.data_dir, holder.value, files))

    assert end_of(main, *arguments, takes_files=True) == (0, "", "")
    assert seen == [(f"{tmp_path}/pictures", f"{tmp_path}/runs/a", [tmp_path / "x.png"])]


@pytest.mark.parametrize("address", ["gs://bucket/runs/a", "s3://b", "https://example.org/a"])
def test_object_storage_is_refused_where_a_path_is_asked_for(end_of, address):
    command.define_config()
    flags.DEFINE(command.PATH, "place", None, "")
    scheme = address.partition("//")[0]
    rule = f"{scheme}// is not read or written here: expected a path, perhaps on a mounted file system"
    for arguments in (
        [*DIGITS, f"--place={address}"],
        ["--config=configs/image_folder.py", f"--config.data.data_dir={address}"],
    ):
        code, out, err = end_of(lambda: command.config(), *arguments)
        assert (code, out) == (2, "")
        assert rule in err


def test_an_override_can_take_an_optional_section_away(end_of):
    command.define_config()
    seen = []
    arguments = ["--config", "configs/imagenet.py", "--config.augment.randaugment=None"]
    assert end_of(lambda: seen.append(command.config()), *arguments) == (0, "", "")
    assert of_stream(seen[0].augment, "image").randaugment is None


@pytest.mark.parametrize(
    ("override", "ask", "value"),
    [
        ("augment.image.shear=0.3", lambda config: config.augment["image"].shear, 0.3),
        ("augment.points={'kind': 'none', 'extent': None, 'half_side': 1.0}", lambda c: c.augment["points"].kind, "none"),
        ("model.positions.points.num_bands=5", lambda config: config.model.positions["points"].num_bands, 5),
        ("views.stream_dropout.points=0.7", lambda config: config.views.stream_dropout, {"image": 0.2, "points": 0.7}),
        ("views.stream_dropout={'points': 0.7}", lambda config: config.views.stream_dropout, {"points": 0.7}),
        ("views.stream_dropout={}", lambda config: config.views.stream_dropout, {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_override_reaches_one_stream(end_of, tmp_path, override, ask, value):
    command.define_config()
    (tmp_path / "two.py").write_text("from tests.settings.two_streams import get_config\n")
    seen = []
    arguments = ["--config", str(tmp_path / "two.py"), f"--config.{override}"]
    assert end_of(lambda: seen.append(command.config()), *arguments) == (0, "", "")
    assert ask(seen[0]) == value


def test_without_overrides_the_config_is_its_file(end_of):
    command.define_config()
    seen = []
    assert end_of(lambda: seen.append(command.config()), *DIGITS) == (0, "", "")
    assert seen == [parse(digits.get_config())]


def test_help_says_what_the_program_does_and_names_its_flags():
    done = subprocess.run([sys.executable, "-m", "experiments.train", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Trains one config; run again, it resumes or says that it is done.\n")
    assert re.findall(r"^  --(\w+): \S", done.stdout, re.MULTILINE) == [
        "workdir",
        "init_from",
        "profile",
        "stall_seconds",
        "compare_copies",
        "distributed",
        "coordinator",
        "num_processes",
        "process_id",
        "arrival_seconds",
        "lost_seconds",
        "shutdown_seconds",
        "debug",
        "config",
        "tiny",
    ]


# Config files


CONFIG_FILES = {
    "raises": ("def get_config():\n    return undefined\n", " line 2: NameError: name 'undefined' is not defined"),
    "raises below": (
        "def helper():\n    return {}['a']\ndef get_config():\n    return helper()\n",
        " line 2: KeyError: 'a'",
    ),
    "raises in a library": (
        "import json\ndef get_config():\n    return json.loads('')\n",
        " line 3: JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    ),
    "syntax": ("x = 1\ndef get_config(:\n", " line 2: SyntaxError: invalid syntax (x.py, line 2)"),
    "imports": ("import not_there\n", " line 1: ModuleNotFoundError: No module named 'not_there'"),
    "exits": ("import sys\nsys.exit(0)\n", " line 2: SystemExit: 0"),
    "recurses": (
        "def get_config():\n    return get_config()\n",
        " line 2: RecursionError: maximum recursion depth exceeded",
    ),
    "empty": ("", ": has no function get_config"),
    "number": ("get_config = 3\n", ": has no function get_config"),
    "none": ("def get_config():\n    return None\n", ": get_config returned NoneType, not a ConfigDict"),
    "mapping": ("def get_config():\n    return {}\n", ": get_config returned dict, not a ConfigDict"),
    "not utf-8": (
        b'x = "\xe9"\n',
        " line 1: SyntaxError: (unicode error) 'utf-8' codec can't decode byte 0xe9 in position 0: unexpected end of data"
        " (x.py, line 1)",
    ),
    "binary": (b"\x7fELF\x00\x01", ": SyntaxError: source code string cannot contain null bytes"),
}


@pytest.mark.parametrize(("content", "message"), CONFIG_FILES.values(), ids=list(CONFIG_FILES))
def test_a_broken_config_file_is_reported_by_line(train, tmp_path, content, message):
    path = tmp_path / "x.py"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert train("--config", path) == (2, f"error[2] config {path}{message}\n")


def test_an_empty_config_lacks_its_sections(train, tmp_path):
    path = tmp_path / "x.py"
    path.write_text("from ml_collections import ConfigDict\nget_config = ConfigDict\n")
    assert train("--config", path)[1].startswith("error[2] missing key data\n")


def test_a_config_file_without_end_is_given_up(train, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "CONFIG_SECONDS", 0.2)
    path = tmp_path / "x.py"
    path.write_text("def get_config():\n    while True: pass\n")
    began = time.monotonic()
    assert train("--config", path) == (2, f"error[2] config {path}: did not return within 0.2 s\n")
    assert time.monotonic() - began < 5


def test_a_config_file_may_be_anywhere_and_import_the_package(end_of, tmp_path):
    command.define_config()
    (tmp_path / "mine.py").write_text("from configs.digits import get_config\n")
    seen = []
    assert end_of(lambda: seen.append(command.config()), "--config", str(tmp_path / "mine.py"))[0] == 0
    assert seen == [parse(digits.get_config())]


# The place and the data


def test_a_workdir_that_is_a_file_is_refused(launch, tmp_path):
    (tmp_path / "f").write_text("x")
    code, err = launch("experiments/train.py", *DIGITS, "--workdir", tmp_path / "f")
    assert (code, err) == (6, f"error[6] workdir {tmp_path}/f: is a file\n")


def test_an_empty_workdir_is_refused(launch):
    code, err = launch("experiments/train.py", *DIGITS, "--workdir=")
    assert (code, err) == (6, "error[6] workdir '': is not a path\n  try: --workdir runs/NAME\n")


def test_a_workdir_of_another_run_is_refused(launch, tmp_path):
    with workdir.claim(str(tmp_path), parse(digits.get_config()), []) as claimed:
        claimed.metrics.touch()
    code, err = launch("experiments/train.py", *DIGITS, "--workdir", tmp_path, "--config.model.num_latents=8")
    assert code == Code.CONFIG
    assert err == (
        f"error[2] workdir {tmp_path} holds a run with other settings\n"
        "  found: model.num_latents 16 -> 8\n"
        "  try: a new --workdir\n"
    )


def test_a_missing_data_package_is_reported_with_its_name(launch, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)  # as if it were not installed
    code, err = launch("experiments/train.py", *DIGITS, "--workdir", tmp_path)
    reported = "error[3] data set digits needs the package scikit-learn\n  try: pip install -e .[examples]\n"
    assert (code, err) == (3, reported)


def test_data_that_are_not_there_are_reported_with_their_place(launch, tmp_path):
    place = f"--config.data.data_dir={tmp_path}"
    code, err = launch("experiments/train.py", "--config", "configs/imagenet.py", "--workdir", tmp_path / "run", place)
    assert code == Code.DATA
    assert err.startswith(f"error[3] data set imagenet2012, split train: {tmp_path}/imagenet2012\n  found: not prepared")


@pytest.fixture
def run_without_checkpoints(tmp_path):
    config = parse(digits.get_config())
    with workdir.claim(str(tmp_path / "run"), config, []) as place:
        workdir.write_problem(place, resolve(config))
        return place.path


@pytest.fixture
def run_of_one_step(run_without_checkpoints):
    """A run whose only checkpoint is sound, and empty: what uses it has ended before it reads any state."""
    (run_without_checkpoints / "unfinished").mkdir()
    manifest.commit(run_without_checkpoints / "unfinished", run_without_checkpoints / "checkpoints" / "1", {}, "0" * 64)
    return run_without_checkpoints


def test_an_evaluation_of_a_run_without_checkpoints_is_reported_so(launch, run_without_checkpoints):
    reported = launch("experiments/evaluate.py", "--workdir", run_without_checkpoints)
    assert reported == (4, f"error[4] no checkpoint: {run_without_checkpoints}/checkpoints\n  found: nothing saved yet\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--split=tset"], 2, "error[2] data set digits has no split 'tset'\n  expected: one of test, train\n"),
        (
            ["--split=validation"],
            2,
            "error[2] data set digits has no split 'validation'\n  expected: one of test, train\n"
            "  try: set data.validation_examples\n",
        ),
        (["--step=x"], 2, "error[2] flag --step=x: invalid literal for int() with base 10: 'x'\n"),
        (["--step=2"], 4, "error[4] no checkpoint at {run}/checkpoints/2\n  found: steps 1 in {run}/checkpoints\n"),
        (["--streams=imag"], 2, "error[2] stream imag not found\n  expected: one or more of image\n"),
        (["--data_dir=x"], 2, "error[2] --data_dir: data set digits is not in a directory of its own\n"),
        (["--votes=0"], 2, "error[2] flag --votes=0: 0 is not a positive integer\n"),
    ],
    ids=str,
)
def test_an_evaluation_that_cannot_be_is_reported_why(launch, run_of_one_step, arguments, code, message):
    reported = launch("experiments/evaluate.py", "--workdir", run_of_one_step, *arguments)
    assert reported == (code, message.format(run=run_of_one_step))


def test_an_evaluation_of_no_run_is_reported_what_is_there(launch, tmp_path):
    reported = f"error[4] no run at {tmp_path}/x\n  found: nothing there\n"
    assert launch("experiments/evaluate.py", "--workdir", tmp_path / "x") == (4, reported)


# Ends


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize("code", [code for code in Code if code != Code.DONE], ids=lambda code: code.name)
def test_a_failure_ends_with_its_code_and_message(end_of, code):
    failure = Failure(code, "what", "where", found="a", expected="b", hint="c")
    assert end_of(raising(failure)) == (
        int(code),
        "",
        f"error[{int(code)}] what: where\n  found: a\n  expected: b\n  try: c\n",
    )


@pytest.mark.parametrize("code", [Code.TERMINATED, Code.INTERRUPTED])
def test_a_stopped_run_says_how_to_go_on(end_of, code):
    reported = "stopped at step 12; the same command resumes\n"
    assert end_of(raising(Stopped(code, 12))) == (int(code), "", reported)


def test_an_interrupt_is_not_an_error(end_of):
    assert end_of(raising(KeyboardInterrupt())) == (130, "", "")


def test_a_command_that_ends_well_says_nothing_of_its_own(end_of):
    assert end_of(lambda: print("result")) == (0, "result\n", "")


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (MemoryError(), ""),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes.\nmore"), "RESOURCE_EXHAUSTED: Out of memory"),
        (RuntimeError("std::bad_alloc"), "std::bad_alloc"),
    ],
    ids=repr,
)
def test_running_out_of_memory_names_what_to_lower(end_of, error, found):
    code, _, err = end_of(raising(error))
    assert code == Code.MEMORY
    assert err.startswith("error[7] out of memory\n" + (f"  found: {found}" if found else ""))
    assert err.endswith('  try: a smaller data.batch_size, more optim.accumulation_steps, or model.remat="layer"\n')
    assert "and more" not in err


def test_a_bug_leaves_its_traceback_in_a_file(end_of, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, out, err = end_of(raising(ZeroDivisionError("by zero\nand more")))
    assert (code, out) == (1, "")
    match = re.fullmatch(
        r"error\[1\] ZeroDivisionError: by zero\n"
        r"  try: this is a bug in perceiver_jax; please report it with (.+\.txt)\n",
        err,
    )
    text = Path(match[1]).read_text()
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("ZeroDivisionError: by zero\nand more\n")


def test_no_traceback_is_shown_without_debug(end_of):
    assert "Traceback" not in end_of(raising(Failure(Code.DATA, "x")))[2]


def test_debug_shows_the_traceback_before_the_message(end_of):
    code, _, err = end_of(raising(Failure(Code.DATA, "x")), "--debug")
    assert code == Code.DATA
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith("\nerror[3] x\n")


# Processes of their own

CONFIG_ERROR = """
import runpy, sys
sys.argv[0] = "train"
try:
    runpy.run_module("experiments.train", run_name="__main__")
finally:
    print(sorted({"jax", "flax", "grain", "orbax", "sklearn", "matplotlib"} & set(sys.modules)))
"""


def test_a_config_error_takes_less_than_two_seconds_and_loads_no_jax(tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    place = tmp_path / "run"
    done = run_python(CONFIG_ERROR, *DIGITS, f"--workdir={place}", "--config.data.batch_size=0")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stderr == "error[2] data.batch_size: expected integer >= 1, got 0\n"
    assert (done.returncode, done.stdout) == (2, "[]\n")
    # Processor time: other jobs may keep the process waiting.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
    assert not place.exists()


SPEAK = "from perceiver_jax import command; command.run(lambda: [print('x' * 1000) for _ in range({lines})])"


@pytest.mark.parametrize("lines", [1, 10_000])
def test_a_reader_that_leaves_is_not_an_error(lines):
    process = subprocess.Popen(
        [sys.executable, "-c", SPEAK.format(lines=lines)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_a_closed_stdout_is_not_an_error():
    code = [sys.executable, "-c", SPEAK.format(lines=1)]
    done = subprocess.run(["sh", "-c", '"$0" "$@" >&-', *code], cwd=ROOT, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_batch_that_does_not_divide_among_the_devices_is_refused(tmp_path):
    arguments = [*DIGITS, "--workdir", str(tmp_path), "--config.data.batch_size=100"]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.train", *arguments], cwd=ROOT, env=on_devices(8), capture_output=True, text=True
    )
    reported = "error[2] data.batch_size 100 is not divisible by 8 devices; try 96 or 104\n"
    assert (done.returncode, done.stderr) == (2, reported)


def test_a_platform_without_devices_is_reported_by_name(monkeypatch):
    import jax

    from perceiver_jax.system import devices

    def refuse():
        raise RuntimeError("Unable to initialize backend 'gpu': nothing there\nand more")

    monkeypatch.setattr(jax, "devices", refuse)
    with pytest.raises(Failure) as caught:
        devices.make_mesh(1, 1, {})
    assert caught.value.code == Code.CONFIG
    assert re.fullmatch(
        r"error\[2\] platform .*: no devices found\n  found: Unable to initialize backend 'gpu': nothing there\n"
        r"  try: another value of JAX_PLATFORMS, or unset it",
        str(caught.value),
    )


# What is written down


def blocks(markdown: str) -> list[str]:
    """The blocks of a page that are of no language: commands, and what they print."""
    fences = re.findall(r"^```(.*)\n((?:.*\n)*?)```$", markdown, re.MULTILINE)
    return [text for language, text in fences if not language]


def written_commands() -> list[str]:
    """Every command in a block of the README or a page of docs, and every one that a config file begins with.

    docs/adding.md is about files that are yet to be written: tests/test_docs.py writes and runs them.
    """
    pages = [path.read_text() for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")))]
    tutorials = ["\n".join(notebooks.commands(page)) for page in notebooks.pages() if page.name != "adding.md"]
    configs = [ast.get_docstring(ast.parse(path.read_text())) or "" for path in sorted(ROOT.glob("configs/*.py"))]
    texts = [block for page in pages for block in blocks(page)] + tutorials + configs
    lines = [line.strip() for text in texts for line in text.replace("\\\n", " ").splitlines()]
    return list(dict.fromkeys(line for line in lines if re.match(r"(python -m|make) ", line)))


def test_commands_are_read_from_blocks_of_no_language_in_any_order():
    page = "a\n```python\nmake no\n```\n\n```\nmake one \\\n    two\n```\nmake no\n"
    page += "```\nmake three\n```\n```json\nmake no\n```\n"
    assert blocks(page) == ["make one \\\n    two\n", "make three\n"]


@pytest.mark.parametrize("line", written_commands())
def test_a_command_that_is_written_down_can_be_typed(end_of, line):
    first, *words = shlex.split(re.sub(r"\$\w+", "1", line))  # the variables of a job are numbers
    if first == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words) <= set(targets)
        return
    path = ROOT / words[1].replace(".", "/")
    path = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    runpy.run_path(str(path), run_name="not_main")  # defines its flags
    has_config, takes_files = "config" in flags.FLAGS, "takes_files=True" in path.read_text()
    assert end_of(lambda *files: has_config and command.config(), *words[2:], takes_files=takes_files) == (0, "", "")


def test_commands_are_written_down():
    commands = written_commands()
    assert len(commands) >= 30
    assert not any(line.endswith("\\") for line in commands)


def test_a_file_whose_name_was_taken_for_a_flag_is_told_how_to_give_it(end_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-0.wav").touch()
    code, out, err = end_of(lambda *files: None, "-0.wav", takes_files=True)
    assert (code, out, err) == (2, "", "error[2] Unknown command line flag '0.wav'\n  try: ./-0.wav\n")
