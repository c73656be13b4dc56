"""Maps of films: every frame stands above its maps, whatever its size."""

import numpy as np
import pytest

from perceiver_jax.report import films, maps


@pytest.mark.parametrize(("side", "patches"), [(28, 7), (224, 28), (32, 8), (20, 5), (8, 1), (30, 4)])
def test_frames_are_as_wide_as_their_maps(side, patches):
    rng = np.random.default_rng(0)
    frames, logits = rng.random((4, side, side, 3), np.float32), rng.normal(size=(8, 4, patches, patches))
    pixels = films.compose(frames, [("a", logits)]).pixels
    edges = []
    for colour in (maps.GREY, maps.COLOURS[0]):
        rows = (pixels == colour).all(axis=-1).sum(axis=1)
        edges.append(rows.max())  # the upper edge of the band's frame
    assert edges[0] == edges[1]
