import pytest

from perceiver_jax.report.tables import duration, quantity, summary, table


def test_a_table_aligns_text_left_and_numbers_right():
    rows = [("cross_attend", 1, 1234567, "3.5 %"), ("head", 12, 10, "100.0 %")]
    assert table(["module", "copies", "parameters", "share"], rows) == (
        "module        copies  parameters    share\n"
        "------------  ------  ----------  -------\n"
        "cross_attend       1   1,234,567    3.5 %\n"
        "head              12          10  100.0 %"
    )


def test_a_column_with_one_word_among_numbers_is_aligned_left():
    assert table(["a", "b"], [("1", 0.123456), ("none", 20.0)]).splitlines()[2:] == ["1     0.1235", "none      20"]


def test_a_table_without_rows_is_its_header():
    assert table(["name", "value"], []) == "name  value\n----  -----"


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="has 1 cells, the header 2"):
        table(["a", "b"], [("x",)])


def test_the_summary_puts_the_run_among_the_baselines_best_first():
    baselines = {"3-NN": 0.971, "logistic regression": 0.920}
    assert summary("test", "accuracy", 0.9694, baselines, parameters=123456, steps=2640, seconds=83.2) == (
        "model                 test accuracy\n"
        "--------------------  -------------\n"
        "3-NN                         97.1 %\n"
        "Perceiver (this run)         96.9 %\n"
        "logistic regression          92.0 %\n"
        "\n"
        "123,456 parameters, 2,640 steps in 1:23"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0:00"),
        (59.6, "1:00"),
        (83.0, "1:23"),
        (3599.7, "1:00:00"),
        (18083.0, "5:01:23"),
        (187506.0, "2d 04:05:06"),
    ],
)
def test_durations_read_like_a_clock(seconds, text):
    assert duration(seconds) == text


def test_a_quantity_has_four_digits_and_a_prefix():
    assert [quantity(value) for value in (44_912_254.0, 707.2e9, 1024.0, 12.0)] == ["44.91 M", "707.2 G", "1.024 k", "12"]


def test_numbers_of_damaged_files_are_shown_all_the_same():
    assert [duration(seconds) for seconds in (float("inf"), float("nan"))] == ["-", "-"]
    assert quantity(10**400) == "1.798e+296 T"
