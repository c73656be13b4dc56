"""The page in a real browser, where Chromium is installed (or named by CHROMIUM)."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from perceiver_jax.runs.page import write_page
from perceiver_jax.runs.past import read_run
from tests import browser
from tests.browser import Browser
from tests.pastruns import past_run

pytestmark = pytest.mark.skipif(browser.installed() is None, reason="no Chromium; CHROMIUM=PROGRAM names one")
PLACE = """(() => {
    const place = document.querySelector("#curves figure div").getBoundingClientRect();
    return [place.x, place.y, place.width, place.height];
})()"""
TOOLTIPS = """(() => {
    const found = [];
    const walk = (node) => {
        for (const one of node.querySelectorAll("*")) {
            if (one.matches(".bk-Tooltip")) found.push((one.shadowRoot ?? one).textContent);
            if (one.shadowRoot) walk(one.shadowRoot);
        }
    };
    walk(document);
    return found.join("|");
})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of two runs, one of them named and classified by someone who means no good."""
    folder = tmp_path_factory.mktemp("page")
    good, bad = past_run(folder / "good"), past_run(folder / "<img src=x onerror=alert(1)>")
    classes = ["<script>window.hacked = 1</script>", "b"]
    for workdir in (good, bad):
        table = "".join(f"{name},0.5,3\n" for name in classes)
        (workdir.path / "per_class_test.csv").write_text(f"class,accuracy,examples\n{table}")
        Image.fromarray(np.full((300, 1500), 200, np.uint8)).save(workdir.plots / "attention_maps.png")
        with open(workdir.metrics, "a") as log:
            log.write(json.dumps({"step": 5, "split": "train", "loss": "NaN", "<b>bold</b>": 1.0}) + "\n")
    write_page([read_run(good.path), read_run(bad.path)], folder / "page.html")
    return folder / "page.html"


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A browser for all tests."""
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def test_a_page_opens_without_a_word_on_the_console_and_runs_nothing_of_others(shown, page):
    shown.open(page)
    assert shown.console == []
    assert shown.value("document.querySelectorAll('#curves figure').length") == 5
    assert shown.value("window.hacked === undefined && !document.querySelector('img[src=x], #curves b')")


def test_pointing_at_a_curve_shows_its_value(shown, page):
    shown.open(page)
    shown.value("document.getElementById('curves').scrollIntoView()")
    x, y, width, height = shown.value(PLACE)
    for step in range(40):  # along the panel: a line is somewhere below
        shown.move(x + 70 + (width - 100) * step / 40, y + height / 2)
        if "step" in shown.value(TOOLTIPS):
            break
    shown.until(f"{TOOLTIPS}.includes('good, t')")
    words = shown.value(TOOLTIPS)
    assert "<img src=x onerror=alert(1)>, t" in words
    step, loss = re.search(r"good, train, step (\d)([\d.]+)", words).groups()
    assert float(loss) == pytest.approx(1 / int(step), rel=1e-4)
    assert shown.console == []


def test_lines_can_be_chosen(shown, page):
    shown.open(page)
    visible = "Bokeh.documents.at(-1).roots()[0].renderers.filter((one) => one.visible).length"
    everything = shown.value(visible)
    shown.value("document.querySelector('[data-run=good]').click()")
    assert shown.value(visible) == everything / 2
    shown.value("document.querySelectorAll('[data-split]').forEach((one) => one.click())")
    assert shown.value(visible) == 0


@pytest.mark.parametrize("dark", [False, True])
def test_a_page_is_light_or_dark_as_the_reader_has_it(shown, page, tmp_path, dark):
    shown.open(page, dark=dark)
    shown.picture(tmp_path / "page.png", whole=False)
    pixels = np.asarray(Image.open(tmp_path / "page.png").convert("L"))
    assert (np.median(pixels) < 60) == dark
    assert np.ptp(pixels) > 150  # words to be read


@pytest.mark.parametrize("width", [320, 390, 768])
def test_a_page_fits_a_phone(shown, page, width):
    shown.open(page, width=width)
    assert shown.value("[innerWidth, document.documentElement.scrollWidth]") == [width, width]
    assert shown.value("Math.max(...[...document.querySelectorAll('#curves figure')].map((one) => one.offsetWidth))") < width


def test_a_page_prints_its_curves_within_the_paper_and_opens_its_tables(shown, page, tmp_path):
    shown.open(page, dark=True)
    shown.value("""addEventListener("beforeprint", () => {
        window.printed = document.querySelectorAll("canvas.printed").length;
        window.open_ = document.querySelectorAll("details.print[open]").length;
    })""")
    shown.printed(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 20_000
    assert shown.value("[printed, open_]") == [5, 2]
    assert shown.value("document.querySelectorAll('canvas.printed, details.print[open]').length") == 0
    assert shown.console == []
