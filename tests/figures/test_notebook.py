"""What a notebook shows of a result is whole HTML, of a picture and a table, for any ground."""

import re
from html.parser import HTMLParser

import pytest
import torch

import gradus
from gradus.figures.notebook import cell
from gradus.sweep.result import RUNS

VOID = {"br", "hr", "img", "path", "use", "rect"}


class Balanced(HTMLParser):
    """Every element that is opened is closed, in turn."""

    def __init__(self):
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_startendtag(self, tag, attributes):
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def fail(folder):
    with gradus.record(folder, None, torch.nn.Linear(1, 1)) as run:
        run.log(2.0, batch=4)
        run.log(1.0, batch=4)
        run.evaluate(1, test_loss=0.5)
        raise ValueError("<b>")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    trained = gradus.train(gradus.RunSpec(model="linear", epochs=1, log_every=20))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gradus.recording.recorder.write_curve", lambda folder, run: None)
        for name in "ab":
            with pytest.raises(ValueError, match="<b>"):
                fail(folder / name)
    f = lambda w: (w**2).sum()  # noqa: E731
    path = gradus.minimize(f, torch.ones(2), gradus.methods.GradientDescent(0.1), steps=9)
    numbers = torch.arange(120.0).reshape(60, 2), torch.arange(60.0)
    return {
        "run": trained,
        "diverged": gradus.train(numbers, model="linear", lr=1e3, log_every=1),
        "loop": gradus.open_run(folder / "a"),
        "comparison": gradus.compare(trained, folder / "a", folder / "b"),
        "trajectory": path,
    }


SAID = {
    "run": ["on digits: finished", "log loss", "95 % interval"],
    "diverged": ["arrays: diverged", "diverged at step 3 with loss inf: "],
    "loop": ["Model-Linear bs-4: failed", "failed by ValueError: &lt;b&gt;", "0.5000"],
    "comparison": ["3 runs", "Optimizer-SGD"],
    "trajectory": ["9 steps in 2 dimensions", "(1, 1)"],
}


@pytest.mark.parametrize("kind", SAID)
def test_a_cell_is_whole_and_says_what_there_is(results, kind):
    content = results[kind]._repr_html_()
    found = Balanced()
    found.feed(content)
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert "<svg" in content
    assert ("<table>" in content) == (kind != "diverged")
    for said in SAID[kind]:
        assert said in content, said


@pytest.mark.parametrize("kind", SAID)
def test_no_ink_is_lost_on_dark_or_light_ground(results, kind):
    """Ink, ground and grid are those of the notebook; no colour is nearly white or nearly black."""
    content = results[kind]._repr_html_()
    assert "color-scheme" not in content
    for color in set(re.findall(r"(?:stroke|fill): (#[0-9a-f]{6})", content)):
        red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
        lightness = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        assert 0.25 < lightness < 0.8, color


def test_a_sweep_without_runs_says_so(tmp_path):
    spec = gradus.SweepSpec(base={"model": "linear"}, vary={"lr": "1,0.1"})
    runs = RUNS.empty_table()
    content = gradus.Sweep(tmp_path / "rates", spec, runs)._repr_html_()
    assert "rates: no run has a figure yet" in content


def test_there_is_no_picture_of_what_is_no_result():
    with pytest.raises(TypeError, match="no picture of a int"):
        cell(3)
