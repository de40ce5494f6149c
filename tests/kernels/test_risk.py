"""The mean loss of outputs that are given is that of the losses of Gradus."""

import numpy as np
import pytest
import torch

from gradus import kernels
from gradus.engine.words import mean_of
from gradus.risk import losses
from gradus.risk.chunks import averaged, summed
from gradus.risk.losses import weighted

LOSSES = {
    "cross-entropy": losses.CrossEntropyLoss(),
    "smoothed": losses.CrossEntropyLoss(label_smoothing=0.2),
    "hinge": losses.HingeLoss(),
    "modified-huber": losses.ModifiedHuberLoss(),
    "mse": losses.MSELoss(),
    "l1": losses.L1Loss(),
    "huber": losses.HuberLoss(delta=0.7),
    "pinball": losses.PinballLoss(quantile=0.3),
}
OPTIONS = {"smoothed": {"smoothing": 0.2}, "huber": {"shape": 0.7}, "pinball": {"shape": 0.3}}
OF_CLASSES = ("cross-entropy", "smoothed", "hinge", "modified-huber")


@pytest.mark.parametrize("variant", kernels.runnable())
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize(("rows", "outputs"), [(1, 2), (16, 3), (45, 17)])
def test_the_mean_over_given_outputs(name, variant, counts, rows, outputs):
    random = np.random.default_rng(rows)
    for dtype, rtol in ((np.float32, 2e-6), (np.float64, 1e-13)):
        z = (3 * random.standard_normal((rows, outputs))).astype(dtype)
        targets = {"numbers": random.standard_normal((rows, outputs)).astype(dtype)}
        if name in OF_CLASSES:
            targets = {"classes": random.integers(outputs, size=rows)}
        if counts:
            targets["weights"] = random.random(rows).astype(dtype)
        words = mean_of(name.replace("smoothed", "cross-entropy"), **OPTIONS.get(name, {}))
        risk = getattr(kernels.core(), f"Risk{8 * z.itemsize}")(*words)
        weights = torch.from_numpy(targets["weights"]).double() if counts else None
        (y, *_) = (torch.from_numpy(each) for each in targets.values())
        total, mass = summed(weighted(LOSSES[name], weights), torch.from_numpy(z), y)
        expected = float(averaged(total, [mass]))
        assert risk.mean(variant, z, **targets) == pytest.approx(expected, rel=rtol)


def test_infinity_is_no_number():
    risk = kernels.core().Risk64(*mean_of("mse"))
    z, y = np.array([[1.0], [np.inf]]), np.zeros((2, 1))
    assert risk.mean(kernels.variant(), z, numbers=y) == np.inf


@pytest.mark.parametrize(
    "targets",
    [
        {},
        {"numbers": np.zeros((3, 2))},
        {"numbers": np.zeros((2, 1))},
        {"classes": np.zeros(1, int)},
    ],
)
def test_targets_that_do_not_go_with_the_outputs(targets):
    risk = kernels.core().Risk64(*mean_of("mse"))
    with pytest.raises(ValueError, match="each output needs a class or numbers"):
        risk.mean(kernels.variant(), np.zeros((2, 2)), **targets)
