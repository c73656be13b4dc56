"""Maps show what the cross-attends of a trained run look at, in its own examples and in files."""

import cv2
import numpy as np
import pytest

from perceiver_jax.runs.load import load
from perceiver_jax.runs.maps import attention_maps
from perceiver_jax.runs.programs import Programs
from tests.launch import SMALL, config_of, problem_of

SETTINGS = [*SMALL, "--config.train.duration=2 steps"]


@pytest.fixture(scope="module")
def run(launcher, once):
    """The workdir of a finished run on digits."""
    return once("looked_at", lambda path: launcher.finish(path, *SETTINGS))


def drawn(launcher, run, output, *arguments):
    """The pictures that the command leaves, by name."""
    command = launcher.start("scripts.attention_maps", "--workdir", run, "--output", output, *arguments)
    assert command.wait() == 0, command.stderr
    assert sorted(command.stdout.split()) == sorted(map(str, output.glob("*.png")))
    return {path.stem: cv2.imread(str(path)) for path in output.glob("*.png")}


def refused(launcher, run, output, *arguments):
    """The exit code and what is reported."""
    command = launcher.start("scripts.attention_maps", "--workdir", run, "--output", output, *arguments)
    return command.wait(), command.stderr


def test_a_run_leaves_the_same_picture_as_the_command_draws_of_the_first_test_example(run, launcher, tmp_path):
    pictures = drawn(launcher, run, tmp_path)
    np.testing.assert_array_equal(pictures["test_0"], cv2.imread(str(run / "plots" / "attention_maps.png")))


def test_a_file_is_drawn_as_the_example_that_it_holds(run, launcher, tmp_path):
    problem = problem_of(*SETTINGS)
    (stream,), (inputs, _) = problem.streams, problem.data.example("test", 3)
    pixels = np.rint(inputs["image"][0] * stream.std[0] + stream.mean[0]).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "mine.png"), pixels)
    of_file = drawn(launcher, run, tmp_path / "a", tmp_path / "mine.png")["mine"]
    np.testing.assert_array_equal(of_file, drawn(launcher, run, tmp_path / "b", "--examples=3")["test_3"])


def test_chosen_cross_attends_and_latents_alone_are_drawn(run, launcher, tmp_path):
    few = drawn(launcher, run, tmp_path, "--cross_attends=1", "--latents=2,0", "--examples=0,1")
    assert set(few) == {"test_0", "test_1"}
    turned = drawn(launcher, run, tmp_path / "turned", "--cross_attends=1", "--latents=0,2")
    assert few["test_0"].shape == turned["test_0"].shape
    assert (few["test_0"] != turned["test_0"]).any()


def test_an_overlay_is_coloured_by_the_input(run, launcher, tmp_path):
    plain, lit = drawn(launcher, run, tmp_path / "a"), drawn(launcher, run, tmp_path / "b", "--overlay")
    assert plain["test_0"].shape == lit["test_0"].shape
    assert lit["test_0"].mean() < plain["test_0"].mean()  # dark where the digit is


@pytest.mark.parametrize(
    ("flag", "code", "reported"),
    [
        ("--cross_attends=9", 2, "error[2] --cross_attends: '9'\n  expected: numbers from 1 to "),
        ("--latents=x", 2, "error[2] --latents: 'x'\n  expected: numbers from 0 to 3"),
        ("--examples=450", 2, "error[2] --examples: '450'\n  expected: numbers from 0 to 449"),
        ("--split=tset", 2, "error[2] data set digits has no split 'tset'\n  expected: one of test, train"),
        ("nowhere.png", 3, "error[3] nowhere.png: does not exist"),
        ("--step=7", 4, "error[4] "),
    ],
)
def test_what_is_not_there_is_reported(run, launcher, tmp_path, flag, code, reported):
    ended, err = refused(launcher, run, tmp_path, flag)
    assert (ended, err[: len(reported)]) == (code, reported)


def test_a_file_that_is_not_a_picture_is_reported_with_its_name(run, launcher, tmp_path):
    (tmp_path / "page.png").write_text("<html>")
    code, err = refused(launcher, run, tmp_path / "maps", tmp_path / "page.png")
    assert code == 3
    assert "page.png" in err
    assert not (tmp_path / "maps").exists()


def picture(path):
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)
    return path


def test_a_bad_file_among_many_costs_itself(run, launcher, tmp_path):
    (tmp_path / "page.png").write_text("<html>")
    code, err = refused(launcher, run, tmp_path / "maps", tmp_path / "page.png", picture(tmp_path / "mine.png"))
    assert code == 3
    assert "page.png" in err
    assert err.endswith("error[3] 1 of 2 files were left out\n")
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["mine.png"]


def test_an_output_that_cannot_be_used_is_reported(run, launcher, tmp_path):
    (tmp_path / "maps").write_text("a file")
    assert refused(launcher, run, tmp_path / "maps") == (6, f"error[6] --output {tmp_path}/maps: is a file\n")


def test_files_of_one_name_are_drawn_apart(run, launcher, tmp_path):
    for name in ("a/x.png", "b/x.png", "b/x.jpg", "b/y.png", "a/b_x.png"):
        picture(tmp_path / name)
    found = drawn(launcher, run, tmp_path / "maps", tmp_path / "a", tmp_path / "b")
    assert found.keys() == {"b_x", "a_x", "b_x_jpg", "b_x_png", "y"}


def test_no_picture_is_written_over_a_file_that_is_to_be_read(run, launcher, tmp_path):
    mine = picture(tmp_path / "am" / "cat.png")
    (tmp_path / "link").symlink_to(tmp_path / "am")
    before = mine.read_bytes()
    for given in (mine, mine.parent, tmp_path / "link" / "cat.png"):
        code, err = refused(launcher, run, tmp_path / "am", given)
        assert (code, err.partition("\n")[0]) == (2, f"error[2] --output {tmp_path}/am: would overwrite the input {mine}")
    assert mine.read_bytes() == before


CLOUDS = [*SETTINGS, "--config.data.grid=(40,)", "--config.data.eval_batch_size=500"]


@pytest.fixture(scope="module")
def run_of_clouds(launcher, once):
    """The workdir of a finished run on digits as clouds."""
    return once("seen_in_clouds", lambda path: launcher.finish(path, *CLOUDS, config="configs/mnist5k_points.py"))


def test_a_run_on_clouds_leaves_the_same_picture_as_the_command_draws(run_of_clouds, launcher, tmp_path):
    pictures = drawn(launcher, run_of_clouds, tmp_path, "--examples=0,1")
    np.testing.assert_array_equal(pictures["test_0"], cv2.imread(str(run_of_clouds / "plots" / "attention_maps.png")))
    assert (pictures["test_0"] != pictures["test_1"]).any()


def test_a_file_of_points_is_drawn_as_the_example_that_it_holds(run_of_clouds, launcher, tmp_path):
    problem = load(run_of_clouds).problem
    cloud = problem.data.source.load("test")[3].inputs["points"]
    np.savetxt(tmp_path / "mine.xyz", cloud[: problem.config.num_inputs], fmt="%.9g")
    of_file = drawn(launcher, run_of_clouds, tmp_path / "a", tmp_path / "mine.xyz")["mine"]
    np.testing.assert_array_equal(of_file, drawn(launcher, run_of_clouds, tmp_path / "b", "--examples=3")["test_3"])


def test_maps_are_the_attention_logits_of_every_input_of_a_stream():
    problem = problem_of(*SETTINGS)
    programs, model = Programs(problem), problem.config.model
    variables = programs.initial_state().evaluated
    inputs, masks = problem.data.example("test", 0)
    (last,) = attention_maps(programs, variables, inputs, masks, [model.num_cross_attends])
    expected = programs.forward(variables, inputs, masks, capture=True).attention_logits[-1]["image"][0, 0]
    np.testing.assert_allclose(last["image"], expected, rtol=1e-5, atol=1e-6)
    assert last["image"].shape == (model.num_latents, 8 * 8)


def test_the_figure_shows_the_first_second_and_last_cross_attend():
    shown = {count: config_of(*SETTINGS, *_at_start(count)).model.figure_3 for count in (1, 2, 8)}
    assert shown == {1: (1,), 2: (1, 2), 8: (1, 2, 8)}


def _at_start(count):
    return f"--config.model.num_cross_attends={count}", "--config.model.arrangement=at_start"
