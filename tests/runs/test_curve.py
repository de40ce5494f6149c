"""The loss curve: its facts against the mathematics, its picture not blank."""

import io

import numpy as np
import pytest
from PIL import Image

from gradus.runs.curve import POINTS, TrainingCurve, draw, in_terminal


def curve_of(n, **changes):
    samples = 16 * (1 + np.arange(n))
    loss = 2.0 * np.exp(-np.arange(n) / n) + 0.1 * np.random.default_rng(0).normal(size=n)
    facts = {"test_x": samples[-1:], "test_loss": loss[-1:]}
    return TrainingCurve("Optimizer-SGD lr-0.001 mt-0.5 bs-16", samples, loss, **facts, **changes)


@pytest.mark.parametrize(("n", "window"), [(1, 1), (49, 1), (50, 3), (100, 5), (375, 15)])
def test_the_smooth_line_is_a_centred_mean(n, window):
    curve = curve_of(n)
    assert curve.window == window
    half = window // 2
    expected = [curve.loss[max(0, i - half) : i + half + 1].mean() for i in range(n)]
    assert curve.smooth == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [0, 1, 10, 400])
@pytest.mark.parametrize("diverged_at", [None, 320])
def test_the_picture_has_its_labels_and_is_not_blank(n, diverged_at):
    curve = curve_of(n, diverged_at=diverged_at)
    figure = draw(curve)
    axes = figure.axes[0]
    assert axes.get_title() == curve.title
    assert axes.get_xlabel() == "number of samples"
    assert axes.get_ylabel() == "training loss"
    drawn = axes.lines[0]
    assert np.array_equal(drawn.get_xdata(), curve.x)
    assert np.array_equal(drawn.get_ydata(), curve.loss)
    assert any(text.get_text() == "diverged" for text in axes.texts) == (diverged_at is not None)
    sink = io.BytesIO()
    figure.savefig(sink, format="png")
    pixels = np.asarray(Image.open(sink).convert("L"))
    assert pixels.std() > 5


def test_a_picture_of_many_epochs_keeps_the_extremes_and_is_small():
    n = 100_000
    noise = np.random.default_rng(1).normal(size=n)
    samples = 16 * (1 + np.arange(n))
    parts = {"validation_x": samples, "validation_loss": noise + 1}
    curve = TrainingCurve("", samples, noise, samples, noise + 2, **parts)
    figure = draw(curve)
    loss, smooth, validation, test = figure.axes[0].lines
    for line, values in (
        (loss, curve.loss), (smooth, curve.smooth),
        (validation, curve.validation_loss), (test, curve.test_loss),
    ):  # fmt: skip
        x, y = line.get_xdata(), line.get_ydata()
        assert len(y) <= POINTS
        assert np.array_equal(values[x // 16 - 1], y)  # points of the curve, and no others
        assert (x[0], x[-1]) == (samples[0], samples[-1])
        assert (y.min(), y.max()) == (values.min(), values.max())
        assert line.get_marker() == "None"
    sink = io.BytesIO()
    figure.savefig(sink, format="svg")
    assert len(sink.getvalue()) < 500_000


def test_the_small_curve_falls_from_the_upper_left_to_the_lower_right():
    text = in_terminal(curve_of(400), width=40, height=8)
    rows = [line for line in text.splitlines() if line.startswith("│")]
    assert len(rows) == 8
    blocks = [[column for column, c in enumerate(row) if "▀" <= c <= "▟"] for row in rows]
    assert min(blocks[0]) < 5
    assert max(blocks[-1]) > 30


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_the_small_curve_names_its_highest_and_lowest_loss(scale):
    curve = curve_of(400)
    scaled = TrainingCurve("", curve.x, scale * curve.loss, *(curve.x[:0],) * 2)
    rows = [line for line in in_terminal(scaled, width=40).splitlines() if line.startswith("│")]
    assert rows[0].endswith(f"│ {scaled.smooth.max():.3g}")
    assert rows[-1].endswith(f"│ {scaled.smooth.min():.3g}")
    assert all(len(row) < 60 for row in rows)
