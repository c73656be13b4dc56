"""A loop that comes no further is ended; one that is slow but moves is not."""

import time

from perceiver_jax.errors import Code
from perceiver_jax.system.watchdog import FACTOR, Watchdog

SECONDS = 0.2


def test_a_step_that_does_not_end_ends_the_run_and_is_named(capfd):
    ends = []
    with Watchdog(lambda code, text: ends.append((code, text)), SECONDS) as watchdog:
        watchdog.step("step 7")
        deadline = time.monotonic() + 30
        while not ends and time.monotonic() < deadline:
            time.sleep(0.01)
    code, text = ends[0]
    assert code == Code.WATCHDOG
    assert text.startswith("error[70] step 7 has not ended in 0 s")
    said = capfd.readouterr().err
    assert "most recent call first" in said  # the stacks of all threads
    assert "test_watchdog.py" in said
    assert "error[70] step 7 has not ended" in said


def test_steps_that_end_and_what_has_no_usual_time_do_not():
    ends = []
    with Watchdog(lambda code, text: ends.append(text), SECONDS) as watchdog:
        for step in range(20):
            watchdog.step(f"step {step}")
            time.sleep(SECONDS / 10)
        assert watchdog._wait.limit >= FACTOR * SECONDS / 10  # slow steps may become slower
        with watchdog.during("saving"):
            time.sleep(1.5 * SECONDS)
        time.sleep(1.5 * SECONDS)  # nothing is waited for
    assert ends == []


def test_time_in_which_the_process_was_stopped_does_not_count():
    watchdog = Watchdog(lambda code, text: None, 1.0)
    watchdog.step("step 1")
    with watchdog:
        time.sleep(0.15)
        assert 0 < watchdog._awake <= 0.2
