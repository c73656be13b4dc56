"""How a launch begins."""

import pytest

from perceiver_jax.data.sources.image_folder import Config as Pictures
from perceiver_jax.errors import Code, Stopped
from perceiver_jax.runs import begin, workdir
from perceiver_jax.system.signals import StopFlag
from tests.data.test_image_folder import AUGMENT
from tests.problems import BATCHES, config_of
from tests.runs.folder import COUNTS, write_pictures


class Asked(StopFlag):
    """Asks to stop, or not, as a test says."""

    should_stop = None


def test_a_run_that_is_asked_to_stop_while_it_checks_its_files_has_not_begun(tmp_path):
    write_pictures(tmp_path / "pictures")
    values = {"kind": "image_folder", "data_dir": str(tmp_path / "pictures"), "image_size": 8, "labels": None}
    config = config_of(Pictures(**values, test_percent=20.0, max_bad=0, **BATCHES), AUGMENT)
    stop = Asked()
    with workdir.claim(str(tmp_path / "run"), config, []) as place:
        stop.should_stop = Code.USER_1
        with pytest.raises(Stopped, match="stopped at step 0; the same command starts over") as caught:
            begin.problem_of(place, config, stop)
        assert caught.value.code == Code.USER_1
        assert not place.problem.exists()
        stop.should_stop = None
        assert begin.problem_of(place, config, stop).num_examples == {name: 2 * count for name, count in COUNTS.items()}
