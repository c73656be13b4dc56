"""What `describe` says of a config, to users and to programs."""

import json
import os
import re
import resource
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.baselines import small
from tests.door import fresh_flags

ROOT = Path(__file__).parents[1]


def describe_imagenet():
    """The JSON of the paper's best model, and the processor seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = [sys.executable, "-m", "scripts.describe", "--config", "configs/imagenet.py", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


@pytest.fixture(scope="module")
def imagenet():
    return describe_imagenet()


def test_json_has_the_promised_keys_and_types(imagenet):
    facts, _ = imagenet
    types = {name: type(value) for name, value in facts.items()}
    assert types == {
        "parameters": int,
        "flops_per_example": int,
        "flops_executed_per_example": int,
        "schedule": list,
        "inputs": dict,
        "streams": dict,
        "classes": int,
        "train_memory_bytes": int,
        "forms": dict,
        "modules": dict,
    }


def test_json_reports_the_papers_best_model(imagenet):
    facts, _ = imagenet
    assert facts["parameters"] == 44_912_254 == sum(facts["modules"].values())
    assert facts["flops_per_example"] == 707_197_648_896
    assert 0 < facts["flops_executed_per_example"] < 0.6 * facts["flops_per_example"]
    assert facts["inputs"] == {"tokens": 50_176, "channels": 261}
    assert facts["streams"] == {"image": {"grid": [224, 224], "features": 3}}
    assert facts["classes"] == 1000
    block = [["cross_attend", 1], ["self_attends", 0]]
    assert facts["schedule"] == [["cross_attend", 0], ["self_attends", 0], *block * 7]


@pytest.mark.parametrize(
    ("variant", "chosen"),
    [
        ("raw_audio", {"audio": "plain"}),
        ("mel_audio", {"audio": "separated"}),
        ("raw_audio_video", {"audio": "folded", "video": "separated"}),
    ],
)
def test_the_form_in_which_each_stream_is_read_is_told_with_the_counts_that_chose_it(variant, chosen, printed, tmp_path):
    place = f"--config.data.data_dir={tmp_path}"
    facts = json.loads(printed("--config", f"{ROOT}/configs/audioset.py:{variant}", place, "--json"))
    found, streams = facts["forms"], facts["forms"]["streams"]
    assert {name: one["chosen"] for name, one in streams.items()} == chosen
    folding = found["folding"] if set(chosen.values()) != {"plain"} else 0
    cost = folding + sum(one[one["chosen"]] for one in streams.values())
    assert cost <= sum(one["plain"] for one in streams.values())
    assert cost <= found["folding"] + sum(one["folded"] for one in streams.values())


def test_json_of_a_model_without_cross_attends_has_the_same_keys(imagenet, printed):
    facts = json.loads(printed("--config", f"{ROOT}/configs/imagenet_baselines.py:vit_b16", "--json"))
    assert facts.keys() == imagenet[0].keys()
    assert facts["forms"] == {}
    assert (facts["schedule"], facts["inputs"]) == ([], {"tokens": 50_176, "channels": 261})
    assert facts["parameters"] == 137_292_520 == sum(facts["modules"].values())


def test_the_table_of_a_resnet_has_neither_schedule_nor_latents(printed):
    facts, parts = printed("--config", f"{ROOT}/configs/digits.py", small.of_digits("resnet")).split("\n\n")
    assert ["model", "resnet"] in [line.split() for line in facts.splitlines()]
    assert "latents" not in facts
    assert [line.split()[0] for line in parts.splitlines()[3:]] == ["blocks/0", "blocks/1", "blocks/2", "head", "stem"]


def test_the_largest_config_is_described_in_five_seconds(imagenet):
    # Seconds of the processor, for other jobs may keep the process waiting; more of them than cores slow the cores too.
    crowded = os.getloadavg()[0] > os.cpu_count()
    assert imagenet[1] < (8 if crowded else 5)


@pytest.fixture
def printed(monkeypatch, capsys):
    def printed(*arguments, reported="", code=0):
        monkeypatch.setattr(sys, "argv", ["describe", *arguments])
        with fresh_flags(), pytest.raises(SystemExit) as end:
            runpy.run_path(f"{ROOT}/scripts/describe.py", run_name="__main__")
        out, err = capsys.readouterr()
        assert (end.value.code, err) == (code, reported)
        return out

    return printed


def test_the_table_shows_schedule_sizes_and_parts(printed):
    out = printed("--config", f"{ROOT}/configs/digits.py", "--config.model.num_blocks=3")
    facts, schedule, forms, parts = out.split("\n\n")
    assert [line.split() for line in schedule.splitlines()[3:]] == [
        ["0", "cross_attend", "0"],
        ["1", "2", "x", "self_attend", "0"],
        ["2", "cross_attend", "1"],
        ["3", "2", "x", "self_attend", "0"],
        ["4", "2", "x", "self_attend", "0"],
    ]
    assert [line.split() for line in forms.splitlines()[3:4]] == [
        ["image", "separated", "457", "k", "716.8", "k", "256", "k"]  # 5 heads
    ]
    assert forms.splitlines()[-1] == "those that fold cost 78.4 k more, once for all streams: less than they save"
    assert [line.split()[0] for line in parts.splitlines()[3:]] == [
        "cross_attends/0",
        "cross_attends/1",
        "head",
        "latents",
        "self_attends/0",
    ]
    assert {tuple(re.split("  +", line)) for line in facts.splitlines()} >= {
        ("parameters", "28,044"),
        ("inputs M x C", "64 x 35"),
        ("latents N x D", "16 x 32"),
        ("streams", "image 8x8"),
        ("task", "single_label, 10 classes"),
        ("steps", "3,000"),
    }


HELD = ("parameters", "optimiser", "averages", "gradient", "batch", "activations")
EIGHT = ("--config", f"{ROOT}/configs/digits.py", "--devices", "8")


def held(printed, *settings):
    """What each of eight devices holds for configs/digits.py, by its name."""
    found = json.loads(printed(*EIGHT, *settings, "--json"))["each_device"]
    mesh = found.pop("mesh")
    assert tuple(found) == HELD
    return list(mesh.values()), found


def test_what_each_of_eight_devices_would_hold_is_told(printed):
    mesh, each = held(printed)
    assert mesh == [8, 1, 1]
    copy = 4 * 28_044
    batch = 64 // 8 * 8 * 8 * 4
    exact = {"parameters": copy, "optimiser": 2 * copy + 4, "averages": copy, "gradient": copy, "batch": batch}
    assert {name: each[name] for name in exact} == exact | {"optimiser": each["optimiser"]}
    assert 2 * copy < each["optimiser"] <= 2 * copy + 8  # two moments and the counts of steps
    accumulated = held(printed, "--config.optim.accumulation_steps=2")[1]
    assert accumulated["activations"] == pytest.approx(each["activations"] / 2, rel=0.05)
    assert accumulated["batch"] == batch


def test_what_devices_share_each_holds_a_part_of(printed):
    _, each = held(printed)
    mesh, split = held(printed, "--config.mesh.model=4")
    assert mesh == [2, 4, 1]
    for name in ("parameters", "optimiser", "averages"):
        assert each[name] / 4 < split[name] < each[name] / 2  # vectors, and what four do not divide, are whole
    assert {name: split[name] for name in HELD[3:]} == {name: each[name] for name in HELD[3:]}
    mesh, shared = held(printed, "--config.mesh.inputs=4")
    assert mesh == [2, 1, 4]
    assert shared["batch"] == each["batch"]  # four times the examples, a quarter of each


def test_virtual_shards_are_held_one_at_a_time_and_their_sums(printed):
    _, each = held(printed)
    _, strict = held(printed, "--config.mesh.virtual_shards=32", "--config.mesh.model=4")
    assert strict["parameters"] == each["parameters"]  # whole during the update
    assert strict["gradient"] == 4 * each["gradient"]  # of one shard, of two and of four, and one that is added
    assert strict["activations"] == pytest.approx(each["activations"] / 4, rel=0.1)


def test_the_table_says_what_each_device_would_hold(printed):
    _, each, *_ = printed(*EIGHT, "--config.mesh.model=4", "--config.mesh.virtual_shards=8").split("\n\n")
    title, _, _, *rows = each.splitlines()
    assert title == "each of 8 devices, 2 (data) x 4 (model) x 1 (inputs), strict: 8 virtual shards"
    assert [line.split("  ")[0] for line in rows] == [
        *("parameters", "optimiser", "running means", "gradient", "batch", "activations (estimate)", "together")
    ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("--config.mesh.model=3",), "error[2] mesh.model 3 does not divide 8 devices; try 1\n"),
        (
            ("--config.data.batch_size=12",),
            "error[2] data.batch_size 12 is not divisible by 8 devices; try 8 or 16\n",
        ),
        (
            ("--config.mesh.inputs=4", "--config.mesh.model=4"),
            "error[2] mesh.model 4 does not divide 8 / 4 (mesh.inputs) devices; try 2\n",
        ),
        (
            ("--config.mesh.virtual_shards=4",),
            "error[2] mesh.virtual_shards 4 is not divisible by 8 devices\n"
            "  expected: as many devices as a power of two, at most the shards\n  try: --config.mesh.virtual_shards=8\n",
        ),
    ],
)
def test_what_eight_devices_could_not_train_is_refused_as_training_would(settings, said, printed):
    assert printed(*EIGHT, *settings, "--json", reported=said, code=2) == ""


def test_data_that_are_not_there_are_counted_as_others_would_be_and_that_is_said(printed, tmp_path):
    reported = f"note: data.data_dir is not a directory: {tmp_path}/x; counted as for 2 classes of 1,000 examples\n"
    place = f"--config.data.data_dir={tmp_path}/x"
    facts = json.loads(printed("--config", f"{ROOT}/configs/image_folder.py", place, "--json", reported=reported))
    assert facts["classes"] == 2
    assert facts["streams"] == {"image": {"grid": [128, 128], "features": 3}}


def test_two_streams_are_described_each_by_itself(printed, tmp_path):
    path = tmp_path / "two.py"
    path.write_text("from tests.settings.two_streams import get_config\n")
    facts = json.loads(printed("--config", str(path), "--json"))
    assert facts["streams"] == {
        "image": {"grid": [28, 28], "features": 1},
        "points": {"grid": [64], "features": 3},
    }
    assert facts["inputs"]["tokens"] == 28 * 28 + 64
    assert "inputs" in facts["modules"]
