"""The paper's published numbers, from the real model of each config: parameters and FLOPs, to the digit printed.

The exact counts beside them are worked out by hand from the paper's text, and round to every published number.
"""

import pytest

from configs import imagenet, modelnet40
from perceiver_jax.model.positions import bands
from perceiver_jax.runs import accounting
from perceiver_jax.runs import problem as problems
from perceiver_jax.settings import config

# variant: parameters, as published in millions; FLOPs of one image by the paper's rule, as published in billions
TABLE5 = {
    "table5_4": (12_654_868, "12.7", 173_060_227_072, "173.1"),
    "table5_8": (23_760_448, "23.8", 346_118_406_144, "346.1"),
    "table5_12": (34_866_028, "34.9", 519_176_585_216, "519.2"),
}
# The table's 41.1 for one at start is 42.1 without the classifier: with one, both arrangements are one network.
TABLE6 = {
    f"table6_{arrangement}_{n}": row
    for arrangement in ("at_start", "interleaved")
    for n, row in {
        1: (42_135_859, "42.1", 404_345_835_520, "404.3"),
        2: (44_912_254, "44.9", 447_610_380_288, "447.6"),
        4: (44_912_254, "44.9", 534_139_469_824, "534.1"),
        8: (44_912_254, "44.9", 707_197_648_896, "707.2"),
    }.items()
}
TABLE7 = {
    "table7_shared": (44_912_254, "44.9", 707_197_648_896, "707.2"),
    "table7_unshared": (326_241_856, "326.2", 707_197_648_896, "707.2"),
}
TABLE2 = {  # prints accuracies alone; the first two models are table 6's
    "fourier": (44_912_254, "44.9", 707_197_648_896, "707.2"),
    "permuted": (44_912_254, "44.9", 707_197_648_896, "707.2"),
    "learned": (48_189_577, "48.2", 380_486_471_680, "380.5"),
}
PERCEIVER_IO = {"io": (48_440_627, "48.4", 406_503_806_464, "406.5")}  # published as 48.4 and 407
FIGURES = {  # print no counts: worked out by hand
    "fig5": (15_264_382, "15.3", 99_991_732_224, "100.0"),
    "fig6": (44_912_254, "44.9", 707_197_648_896, "707.2"),
}
ROWS = TABLE5 | TABLE6 | TABLE7 | TABLE2 | PERCEIVER_IO | FIGURES

each_row = pytest.mark.parametrize(("variant", "row"), ROWS.items(), ids=list(ROWS))


def parsed(*variant: str) -> config.Config:
    return config.parse(imagenet.get_config(*variant))


def problem(run: config.Config) -> problems.Problem:
    """With the published numbers of classes and examples: no data are needed to count."""
    return problems.make(run, run.source().contents(), fingerprint="")


def test_every_variant_has_a_row_here():
    assert set(ROWS) == set(imagenet.VARIANTS)


@each_row
def test_parameters_are_the_papers(variant, row):
    exact, published, *_ = row
    count = accounting.count_parameters(problem(parsed(variant)))
    assert (count, f"{count / 1e6:.1f}") == (exact, published)


@each_row
def test_flops_are_the_papers(variant, row):
    *_, exact, published = row
    flops = accounting.paper_flops(problem(parsed(variant)))
    assert (flops, f"{flops / 1e9:.1f}") == (exact, published)


@each_row
def test_the_config_says_so_too(variant, row):
    exact, _, _, billions = row
    (line,) = [line for line in imagenet.__doc__.splitlines() if line.startswith(f"| {variant} ")]
    assert {f"{exact:,}", billions} <= {cell.strip() for cell in line.split("|")}


def test_perceiver_ios_flops_round_to_its_published_407_billion():
    assert round(accounting.paper_flops(problem(parsed("io"))) / 1e9) == 407


def test_the_encoding_of_learned_positions_is_6_422_528_of_its_parameters():
    learned, one_cross_attend = (
        accounting.count_parameters(problem(parsed(v))) for v in ("learned", "table6_interleaved_1")
    )
    # The cross-attend's key and value fall from 261 to 131 channels, its query and output likewise, its norm too.
    d, c = 1024, {"fourier": 261, "learned": 131}
    kept = {kind: 2 * d * n + n + d + 2 * (n * n + n) + 2 * n for kind, n in c.items()}
    assert learned - one_cross_attend == 50_176 * 128 - (kept["fourier"] - kept["learned"])


@pytest.mark.parametrize("variant", [(), ("fourier",)], ids=repr)
def test_no_variant_is_the_papers_best_model(variant):
    assert imagenet.get_config(*variant) == imagenet.get_config("table6_interleaved_8")


def test_input_array_is_50176_pixels_of_261_channels():
    run = parsed()
    assert (run.num_inputs, run.input_channels) == (50_176, 261)


def test_learned_positions_make_131_channels():
    assert parsed("learned").input_channels == 131


def test_rate_falls_at_epochs_84_102_and_114_of_120():
    optim, duration = parsed().optim, parsed().train.duration
    assert [round(milestone * 120, 9) for milestone in optim.schedule.milestones] == [84, 102, 114]
    assert (duration, optim.learning_rate, optim.schedule.factor) == ("120 epochs", 0.004, 0.1)


def test_perceiver_ios_run_is_137625_steps():
    assert problem(parsed("io")).num_steps == 137_625


# ModelNet40: the counts are worked out by hand, since the paper prints accuracies alone.


def clouds(num_points: int) -> config.Config:
    values = modelnet40.get_config()
    values.data.grid = (num_points,)
    return config.parse(values)


def test_a_cloud_is_2048_inputs_of_387_channels():
    run = config.parse(modelnet40.get_config())
    assert (run.num_inputs, run.input_channels) == (2048, 3 * (2 * 64 + 1))


def test_the_highest_frequency_of_a_point_is_1120():
    positions = modelnet40.get_config().model.positions
    assert [bands(positions.num_bands, mu)[-1] for mu in positions.max_resolution] == [1120] * 3


@pytest.mark.parametrize(("num_points", "billions"), [(2048, "101.89"), (2000, "101.76")])
def test_clouds_take_44_772_202_parameters_and_102_billion_flops(num_points, billions):
    run = problem(clouds(num_points))
    count, flops = accounting.count_parameters(run), accounting.paper_flops(run)
    assert (count, f"{flops / 1e9:.2f}") == (44_772_202, billions)
    (line,) = [line for line in modelnet40.__doc__.splitlines() if line.startswith("| perceiver ")]
    assert {f"{count:,}", "101.9"} <= {cell.strip() for cell in line.split("|")}


def test_clouds_are_trained_on_for_50000_steps_at_a_constant_rate():
    run = config.parse(modelnet40.get_config())
    assert (problem(run).num_steps, run.data.batch_size, run.optim.learning_rate) == (50_000, 512, 0.001)
    assert run.optim.schedule.kind == "constant"
