"""A run stopped and resumed after every step, in this process, where launches share their compiled programs."""

import contextlib
import io
import shutil
import time

from perceiver_jax.errors import Code, Stopped
from perceiver_jax.runs import train, workdir
from perceiver_jax.runs.programs import Programs
from perceiver_jax.runs.train import Options
from perceiver_jax.runs.train import train as launch
from perceiver_jax.system.signals import StopFlag
from scripts.faults.campaign import Campaign, Suite
from scripts.faults.tiny import CONFIG, MIXED, SAVE_EVERY, STEPS, STREAMS, STREAMS_CONFIG, TINY, problem_of

RUNS = {"mixed pictures": (MIXED, CONFIG), "pictures and clouds": (STREAMS, STREAMS_CONFIG)}


class Asked(StopFlag):
    """Asks to stop when it is told to."""

    should_stop = None


class Resumes(Suite):
    """The run ends as the one that nobody stopped: augmentation, mixup, stream dropout, running mean, accumulation."""

    rows = "resume after every step, in this process"
    quick, full = 4, 2 * (STEPS - 1)

    def inject(self, campaign: Campaign, count: int) -> None:
        """One run, or both where the count allows to stop them after every step."""
        few = count <= self.quick
        runs = {"tiny": (TINY, CONFIG)} if few else dict(list(RUNS.items())[: 1 + (count >= STEPS)])
        for name, (settings, file) in runs.items():
            problem = problem_of(*settings, file=file)
            programs, stop = Programs(problem), Asked()
            step, real, turn = programs.step, train.Programs, min(count, STEPS - 1)

            def one(state, batch, step=step, stop=stop):
                stop.should_stop = Code.TERMINATED
                return step(state, batch)

            def go(path, problem=problem, stop=stop):
                stop.should_stop = None
                with contextlib.redirect_stderr(io.StringIO()), workdir.claim(str(path), problem.config, []) as place:
                    launch(problem, place, stop, Options())

            train.Programs = lambda _, programs=programs: programs
            try:
                first = STEPS - 2 * SAVE_EVERY if few else 0
                quiet = campaign.quiet if few else campaign.new()
                path, trials = campaign.begun(first) if few else campaign.new(), []
                if not few:
                    go(quiet)
                programs.step = one
                for after in range(first + 1, first + turn + 1):
                    with campaign.trial(f"{name}: stopped after step {after}") as trial:
                        began = time.monotonic()
                        try:
                            go(path)
                            trial.expect(False, "not stopped")
                        except Stopped as stopped:
                            trial.expect(stopped.step == after, f"stopped at {stopped.step}")
                        trial.seconds = time.monotonic() - began
                    trials.append(trial)
                programs.step = step
                go(path)
            finally:
                train.Programs = real
            campaign.judge(path, trials, quiet)
            for done in {quiet, path} - {campaign.quiet}:
                shutil.rmtree(done)
            count -= turn


MEMBER = Resumes
