"""Averages over a log interval, and the guard that its numbers are numbers."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from perceiver_jax.errors import Code, Failure
from perceiver_jax.system.watchdog import Watchdog
from perceiver_jax.training import meter


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless a test moves it."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    monkeypatch.setattr(meter, "time", clock := Clock())
    return clock


def make(seconds=0.0):
    return meter.Meter(8, optax.linear_schedule(1.0, 0.0, 10), seconds, Watchdog(None))


def sums(loss=8.0, grad_norm=1.0, weight=8.0):
    return {"loss": jnp.float32(loss), "weight": jnp.float32(weight), "grad_norm": jnp.float32(grad_norm)}


def test_an_interval_s_metrics_are_means_over_its_examples_and_its_steps(clock):
    counter = make(seconds=5.0)
    clock.now += 2
    counter.add(1, sums(loss=16.0, grad_norm=1.0, weight=8.0))
    clock.now += 2
    counter.add(2, sums(loss=1.0, grad_norm=3.0, weight=2.0))
    assert counter.read(2) == {
        "loss": 1.7,
        "grad_norm": 2.0,
        "learning_rate": pytest.approx(0.9),  # of the second update, which is number 1 from 0
        "steps_per_second": 0.5,
        "examples_per_second": 4.0,
        "data_wait_fraction": 0.0,
        "seconds": 9.0,
    }


def test_each_interval_starts_over(clock):
    counter = make()
    counter.add(1, sums(loss=800.0))
    clock.now += 1
    counter.read(1)
    clock.now += 4
    counter.add(2, sums(loss=8.0))
    found = counter.read(2)
    assert (found["loss"], found["steps_per_second"], found["seconds"]) == (1.0, 0.25, 5.0)


def test_waiting_is_a_fraction_of_training_and_what_is_not_training_has_no_part_in_it(clock):
    counter = make()
    with counter.waiting():
        clock.now += 1
    clock.now += 3
    counter.add(1, sums())
    with counter.away():
        clock.now += 100
    found = counter.read(1)
    assert (found["data_wait_fraction"], found["steps_per_second"], found["seconds"]) == (0.25, 0.25, 104.0)


def test_the_time_of_a_launch_is_told_apart_by_what_it_went_into(clock):
    counter = make(seconds=1000.0)
    clock.now += 5  # reading the records
    for compiled in (30, 2):
        with counter.waiting():
            clock.now += 1
        clock.now += compiled
        counter.add(1, sums())
    for what, seconds in (("evaluation", 10), ("saving", 7), ("other", 3), ("saving", 7)):
        with counter.away(what):
            clock.now += seconds
    assert counter.times == {
        "launch": 66.0,
        "training": 7.0,
        "compile": 30.0,
        "evaluation": 10.0,
        "saving": 14.0,
        "other": 3.0,
        "data_wait": 2.0,
    }


@pytest.mark.parametrize(
    ("name", "value"), [("loss", np.nan), ("loss", np.inf), ("grad_norm", np.nan), ("grad_norm", np.inf)]
)
def test_what_is_not_a_number_ends_the_run_with_its_name_and_step(name, value, clock):
    counter = make()
    counter.add(1, sums())
    counter.add(2, sums(**{name: value}))
    with pytest.raises(Failure) as caught:
        counter.add(3, sums())
    assert caught.value.code == Code.NUMERICS
    assert str(caught.value).splitlines()[0] == f"error[5] {name} is {value}: step 2"


@pytest.mark.parametrize("ask", [lambda counter: counter.read(1), lambda counter: counter.settle()], ids=["read", "settle"])
def test_the_last_step_is_guarded_too(ask, clock):
    counter = make()
    counter.add(1, sums(loss=np.nan))
    with pytest.raises(Failure, match="loss is nan: step 1"):
        ask(counter)


def test_nothing_is_saved_or_evaluated_before_all_steps_are_known_to_be_fine(clock):
    counter = make()
    counter.add(1, sums(loss=np.nan))
    with pytest.raises(Failure, match="loss is nan: step 1"), counter.away():
        pytest.fail("went on")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_state_with_what_is_not_a_number_is_refused_by_name(value):
    state = {"params": {"kernel": jnp.array([1.0, 2.0]), "count": jnp.int32(3)}, "ema": jnp.zeros(2, jnp.bfloat16)}
    meter.check_finite(state, 7)
    state["params"]["kernel"] = jnp.array([1.0, value])
    with pytest.raises(Failure) as caught:
        meter.check_finite(state, 7)
    assert caught.value.code == Code.NUMERICS
    assert str(caught.value).splitlines()[0] == "error[5] params/kernel is not finite: step 7"
    state["params"]["kernel"], state["ema"] = jnp.zeros(2), jnp.array([0, value], jnp.bfloat16)
    with pytest.raises(Failure, match="ema is not finite"):
        meter.check_finite(state, 7)
