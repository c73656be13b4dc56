"""All parts of a preparation launched by one command: the bytes of a plain run, whatever fails on the way."""

import pytest

from perceiver_jax.launch import jobs
from perceiver_jax.launch.local import Local
from perceiver_jax.system.processor import num_cores
from tests import preparing
from tests.data.preparation.shapes import write_zip
from tests.preparing import hashes

FINAL = "modelnet40/1.0.0"


@pytest.fixture
def launch(monkeypatch, capsys, tmp_path):
    """Runs the command on a source: its exit code, stdout and stderr; its parts are processes of their own."""
    source = write_zip(tmp_path / "source")
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.02)

    def launch(data_dir, *arguments):
        words = ["--source", source, "--data_dir", tmp_path / data_dir, "--allow_partial", "--num_points=32", *arguments]
        return preparing.launch("modelnet40", words, monkeypatch, capsys)

    return launch


def data(folder):
    """The files of the data set, without the logs."""
    return hashes(folder / "modelnet40")


def test_parts_are_prepared_and_sealed(tmp_path, launch):
    code, out, err = launch("parts", "--parts=2", "--processes=2")
    assert code == 0, err
    assert out == f"{tmp_path}/parts/{FINAL} is ready: --config.data.data_dir={tmp_path}/parts\n"
    assert "part 1/2: done" in err
    assert "part 2/2: done" in err
    assert launch("plain", "--num_workers=1")[0] == 0
    assert data(tmp_path / "parts") == data(tmp_path / "plain")
    assert "--part=1/2 puts all parts together" in (tmp_path / "parts/logs/prepare_modelnet40-1-of-2.txt").read_text()


@pytest.fixture
def started(monkeypatch):
    """The words of the parts that are started, none of which really is: each ends with the next of `codes`."""
    words, codes = [], [0, 0]

    class Part:
        refused = ""

        def __init__(self, launcher, job):
            words.append(job.words[1:])
            self._code = codes.pop(0)
            job.log.parent.mkdir(parents=True, exist_ok=True)
            job.log.write_text("")
            self._log = job.log

        def poll(self):
            self._log.write_text("error[3] it is bad\n")
            return self._code

        def ask(self):
            raise AssertionError

    monkeypatch.setattr(Local, "_start", lambda launcher, job: Part(launcher, job))
    return words, codes


def test_each_part_has_the_commands_own_flags(tmp_path, launch, started):
    words, _ = started
    code, _, err = launch("parts", "--parts=2", "--processes=2", "--seed=7", "--verify", "--max_bad=3")
    assert code == 6  # the seal looks for itself
    assert "not all parts are finished" in err
    for number, found in enumerate(words, 1):
        assert found[:2] == ("-m", "scripts.prepare_modelnet40")
        assert sorted(found[2:]) == sorted(
            [
                f"--source={tmp_path}/source",
                f"--data_dir={tmp_path}/parts",
                "--allow_partial",
                "--num_points=32",
                "--seed=7",
                f"--num_workers={max(1, num_cores() // 2)}",
                f"--part={number}/2",
            ]
        )


@pytest.mark.parametrize(("ended", "code", "verb"), [(3, 3, "failed"), (-9, 130, "were stopped"), (99, 1, "failed")])
def test_a_part_that_ends_badly_leaves_the_others_alone_and_nothing_is_sealed(tmp_path, launch, started, ended, code, verb):
    words, codes = started
    codes[0] = ended
    found, _, err = launch("parts", "--parts=2")
    assert (found, len(words)) == (code, 2)
    log = f"{tmp_path}/parts/logs/prepare_modelnet40-1-of-2.txt"
    assert f"error[{code}] 1 of 2 parts {verb}: part 1/2\n  found: error[3] it is bad (see {log})\n" in err
    assert "part 2/2: done" in err
    assert not (tmp_path / "parts/modelnet40").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--parts=2", "--part=1/2"], "error[2] --parts and --part\n  expected: one of them"),
        (["--parts=2", "--seal"], "error[2] --parts and --seal\n  expected: one of them"),
        (["--processes=2"], "error[2] --processes without --parts\n  try: --parts N"),
        (["--launcher=slurm"], "error[2] --launcher without --parts\n"),
        (["--parts=2", "--partition=gpu"], "error[2] --partition is an option of Slurm\n  found: --launcher local\n"),
        (["--parts=0"], "parts"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(tmp_path, launch, arguments, message):
    code, _, err = launch("parts", *arguments)
    assert code == 2
    assert message in err
    assert not (tmp_path / "parts").exists()
