"""A clock that is wrong, or is put right while a run trains."""

import time

from perceiver_jax.report.log import read_metrics
from scripts.faults.campaign import Campaign, Suite
from scripts.faults.tiny import SAVE_EVERY, STEPS

HOUR = 3600.0
CLOCKS = {  # what is said of it: seconds by which it is off, and from which of its readings on
    "put back by an hour": (-HOUR, 20),
    "in 1970": (-time.time(), 0),
    "in 2100": (130 * 365.25 * 24 * HOUR - time.time(), 0),
    "put forward by a day": (24 * HOUR, 20),
}


class Clocks(Suite):
    """The bits do not depend on it, and no time that is logged is negative or a jump of the clock."""

    rows = "clock in 1970, in 2100, put back or forward while the run trains; another time zone"
    quick, full = 1, 60

    def inject(self, campaign: Campaign, count: int) -> None:
        """All clocks in turn."""
        for number in range(count):
            words = list(CLOCKS)[number % len(CLOCKS)]
            path = campaign.begun(STEPS - (1 + number % 4) * SAVE_EVERY)
            with campaign.trial(f"clock {words}") as trial:
                run = campaign.train(
                    path, layer=["clock", *CLOCKS[words]], environment={"TZ": ("Asia/Tokyo", "UTC")[number % 2]}
                )
                trial.expect(run.wait() == 0, f"the run does not end well: {run.stderr[-1000:]}")
                records = [record for record in read_metrics(path / "metrics.jsonl") if record["split"] == "train"]
                seconds = [record["seconds"] for record in records]
                trial.trust(seconds == sorted(seconds), "times go back")
                trial.trust(seconds[0] >= 0 and seconds[-1] < HOUR, f"{seconds[-1]} s")
                trial.trust(all(record["examples_per_second"] > 0 for record in records), "a rate is not positive")
            campaign.end(path, [trial])


MEMBER = Clocks
