import cv2
import numpy as np
import pytest

from perceiver_jax.report import curves
from perceiver_jax.report.curves import draw_curves, series
from perceiver_jax.report.log import MetricsLog


@pytest.fixture
def workdir(tmp_path):
    with MetricsLog(tmp_path, 0) as log:
        for step in range(10, 101, 10):
            rates = {"learning_rate": 0.01, "examples_per_second": 5e3, "data_wait_fraction": 0.01, "grad_norm": 1.0}
            log.write(step, "train", {"loss": 20 / step, "accuracy": step / 110} | rates)
            if step % 50 == 0:
                log.write(step, "test", {"loss": 22 / step, "accuracy": step / 120, "examples_per_second": 9e3})
    return tmp_path


def colours(path):
    """How many pixels there are of every colour of the lines."""
    pixels = cv2.imread(str(path))[..., ::-1].reshape(-1, 3)

    def count(name):
        wanted = [int(name[i : i + 2], 16) for i in (1, 3, 5)]
        return int((np.abs(pixels.astype(int) - wanted).max(1) < 8).sum())

    return {"train": count(curves.TRAIN_COLOUR), "test": count(curves.EVALUATION_COLOURS[0]), "red": count("#b00020")}


def test_every_logged_metric_gets_a_panel(workdir):
    panels = draw_curves(workdir / "metrics.jsonl", workdir / "curves.png", "digits")
    assert panels == ("loss", "accuracy", "learning_rate", "examples_per_second", "data_wait_fraction")


def test_training_and_evaluation_are_both_drawn_in_their_colours(workdir):
    draw_curves(workdir / "metrics.jsonl", workdir / "curves.png", "digits")
    found = colours(workdir / "curves.png")
    assert found["train"] > 900
    assert found["test"] > 500
    assert found["red"] == 0


def test_a_metric_that_was_not_logged_has_no_panel_and_takes_no_room(tmp_path, workdir):
    draw_curves(workdir / "metrics.jsonl", workdir / "many.png", "digits")
    with MetricsLog(tmp_path / "..", 0) as log:
        log.write(1, "train", {"loss": 1.0})
    assert draw_curves(tmp_path / "../metrics.jsonl", tmp_path / "one.png", "digits") == ("loss",)
    one, many = (cv2.imread(str(tmp_path / name)).shape for name in ("one.png", "many.png"))
    assert one[1] * 2 == many[1]
    assert one[0] < many[0] / 2


def test_without_metrics_there_is_no_picture(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "split": "train", "grad_norm": 1.0}\n')
    assert draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png", "digits") == ()
    assert not (tmp_path / "curves.png").exists()


def test_a_loss_that_is_not_finite_is_marked(workdir):
    with MetricsLog(workdir, 100) as log:
        log.write(110, "train", {"loss": float("nan")})
        log.write(110, "test", {"loss": float("inf")})
    draw_curves(workdir / "metrics.jsonl", workdir / "curves.png", "digits")
    assert colours(workdir / "curves.png")["red"] > 20


def test_a_run_of_nothing_but_nan_is_drawn(tmp_path):
    with MetricsLog(tmp_path, 0) as log:
        log.write(1, "train", {"loss": float("nan"), "accuracy": float("nan")})
    assert draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png", "digits") == ("loss", "accuracy")


def test_series_put_training_first_and_keep_speed_to_training():
    records = [
        {"step": 1, "split": "test", "loss": 2.0, "examples_per_second": 9.0},
        {"step": 1, "split": "train", "loss": 3.0, "examples_per_second": 5.0},
        {"step": 2, "split": "train", "loss": 1.0},
    ]
    found = series(records)
    assert list(found) == ["loss", "examples_per_second"]
    assert list(found["loss"]) == ["train", "test"]
    assert [array.tolist() for array in found["loss"]["train"]] == [[1, 2], [3.0, 1.0]]
    assert list(found["examples_per_second"]) == ["train"]


def test_series_of_others_follow_by_name():
    numbers = {"b": 1, "loss": 2.0, "a": 0.5, "text": "x", "flag": True, "seconds": 3.0, "steps_per_second": 4.0}
    records = [{"step": 1, "split": "train"} | numbers]
    found = series(records, others=True)
    assert list(found) == ["loss", "a", "b"]
    assert found["b"]["train"][1].tolist() == [1.0]
    assert list(series(records)) == ["loss"]


@pytest.mark.parametrize(
    ("metric", "value", "words"),
    [
        ("accuracy", 0.5, "50.0 %"),
        ("loss", 2, "2.000"),
        ("mean_class_accuracy", 0.25, "25.0 %"),
        ("grad_norm", 123.456, "123.5"),
        ("classes_with_examples", 527, "527"),
        ("loss", float("nan"), "nan"),
    ],
)
def test_a_value_is_shown_as_people_read_it(metric, value, words):
    assert curves.shown(metric, value) == words


def test_drawing_leaves_the_state_of_matplotlib_alone(workdir):
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    draw_curves(workdir / "metrics.jsonl", workdir / "curves.png", "digits")
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []
