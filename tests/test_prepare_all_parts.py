"""All parts of a preparation launched by one command: the bytes of a plain run, whatever fails on the way."""

import signal

import pytest

from perceiver_jax.launch import jobs
from perceiver_jax.launch.local import Local
from tests import preparing
from tests.data.preparation.shapes import write_zip
from tests.launching.test_local import until
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


@pytest.mark.parametrize(
    "launcher", [["--processes=2"], ["--launcher=slurm", "--cluster=local", "--processes=2", "--time=5"]]
)
def test_parts_are_prepared_and_sealed(tmp_path, launch, launcher):
    code, out, err = launch("parts", "--parts=2", *launcher)
    assert code == 0, err
    assert out == f"{tmp_path}/parts/{FINAL} is ready: --config.data.data_dir={tmp_path}/parts\n"
    for part in ("part 1/2", "part 2/2"):
        assert f"{part}: done" in err
    assert launch("plain", "--num_workers=1")[0] == 0
    assert data(tmp_path / "parts") == data(tmp_path / "plain")
    assert "--part=1/2 puts all parts together" in (tmp_path / "parts/logs/prepare_modelnet40-1-of-2.txt").read_text()


def test_a_part_that_fails_is_named_and_nothing_is_sealed(tmp_path, launch):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/modelnet40").touch()
    code, _, err = launch("parts", "--parts=2")
    assert code == 6
    assert "part 1/2: failed: error[6] " in err
    assert "error[6] 2 of 2 parts failed: part 1/2, part 2/2\n  found: error[6] " in err
    (tmp_path / "parts/modelnet40").unlink()
    assert launch("parts", "--parts=2")[0] == 0
    assert (tmp_path / "parts" / FINAL).is_dir()


def test_a_part_that_is_killed_leaves_the_others_alone(tmp_path, launch, monkeypatch):
    start = Local._start

    def killing(self, job):
        started = start(self, job)
        if job.name == "part 1/2":
            started._process.send_signal(signal.SIGKILL)
            until(lambda: started._process.poll() is not None)
        return started

    monkeypatch.setattr(Local, "_start", killing)
    code, _, err = launch("parts", "--parts=2")
    assert code == 130
    assert "error[130] 1 of 2 parts were stopped: part 1/2" in err
    assert "part 2/2: done" in err


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
