"""What a row costs: counted parameters and FLOPs, and from them how long a run takes on a named machine."""

import dataclasses

from perceiver_jax.runs.problem import Problem

TRAINING = 3  # times the FLOPs of the forward pass: the backward pass takes twice as many


@dataclasses.dataclass(frozen=True)
class Machine:
    """A machine that hours are estimated for. The utilisation is assumed, not measured."""

    name: str
    flops: float  # a second, at most
    utilisation: float

    def hours(self, flops: float) -> float:
        """The hours that this many FLOPs take."""
        return flops / (self.flops * self.utilisation) / 3600

    @property
    def words(self) -> str:
        """What is assumed."""
        return (
            f"{TRAINING} forward passes an example at an assumed {100 * self.utilisation:.0f} % of"
            f" {self.flops / 1e12:,.4g} TFLOP/s, {self.name}"
        )


# By scale. The H200's figure is that of its data sheet, without sparsity.
MACHINES = {
    "full": Machine('one NVIDIA H200 with model.compute_dtype="bfloat16"', 989e12, 0.4),
    "small": Machine("one core of a server", 0.1e12, 0.4),
}


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one run."""

    parameters: int
    flops: int  # of one example's forward pass, by the paper's rule
    examples: int  # that the run trains on, repeated ones counted every time
    epochs: float

    @property
    def training_flops(self) -> int:
        """Of the whole run, forward and backward."""
        return TRAINING * self.flops * self.examples


def cost_of(problem: Problem) -> Cost:
    """The cost of a run, counted on the abstract model."""
    from perceiver_jax.runs import accounting  # JAX from here on

    examples = problem.num_steps * problem.config.data.batch_size
    epochs = examples / problem.num_examples["train"]
    return Cost(accounting.count_parameters(problem), accounting.paper_flops(problem), examples, epochs)
