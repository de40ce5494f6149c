"""Figures of quantiles against scikit-learn, and their intervals against simulation."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_pinball_loss

from gradus.metrics import figures_of_quantiles


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.9])
def test_the_figures_are_those_of_scikit_learn_beside_those_of_the_constant(tau):
    random = np.random.default_rng(0)
    targets, given = random.normal(size=(2, 60, 2))
    found = figures_of_quantiles(given, targets, tau, constant=[0.5, -0.5], names=("a", "b"))
    assert list(found) == [
        "pinball_loss of a",
        "coverage of a",
        "pinball_loss of b",
        "coverage of b",
    ]
    for at, (name, constant) in enumerate([("a", 0.5), ("b", -0.5)]):
        y, same = targets[:, at], np.full(60, constant)
        loss, coverage = found[f"pinball_loss of {name}"], found[f"coverage of {name}"]
        assert loss.value == pytest.approx(mean_pinball_loss(y, given[:, at], alpha=tau))
        assert loss.constant == pytest.approx(mean_pinball_loss(y, same, alpha=tau))
        assert (coverage.value, coverage.constant) == (
            (y <= given[:, at]).mean(),
            (y <= constant).mean(),
        )


@pytest.mark.parametrize("tau", [0.5, 0.9])
def test_the_intervals_hold_the_true_figures(tau):
    """Normal targets about their predictions, which are off by half a deviation; 500 times."""
    random, q = np.random.default_rng(1), 0.5
    density, share = stats.norm.pdf(q), stats.norm.cdf(q)
    truth = {"pinball_loss": density - q * (1 - share) + (1 - tau) * q, "coverage": share}
    held = dict.fromkeys(truth, 0)
    for _ in range(500):
        found = figures_of_quantiles(np.full((200, 1), q), random.normal(size=(200, 1)), tau)
        for name, value in truth.items():
            held[name] += found[name].low <= value <= found[name].high
    assert min(held.values()) >= 460, held


@pytest.mark.parametrize(
    ("shapes", "tau"), [(((3, 1), (3, 2)), 0.5), (((0, 1), (0, 1)), 0.5), (((3, 1), (3, 1)), 1.0)]
)
def test_what_has_no_figures_is_refused(shapes, tau):
    with pytest.raises(ValueError, match="0 < quantile < 1"):
        figures_of_quantiles(*map(np.zeros, shapes), tau)
