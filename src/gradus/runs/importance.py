"""Which columns of a table the model of a run uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradus.data.preparation import Quantities
from gradus.metrics.classes import log_losses
from gradus.metrics.permutation import Importance, permutation_importance
from gradus.metrics.predictions import ClassPredictions, Predictions
from gradus.runs.judging import probabilities

if TYPE_CHECKING:
    from gradus.data.dataset import Split
    from gradus.data.preparation import Preparation
    from gradus.engine.job import Job
    from gradus.runs.spec import RunSpec

ROWS = 150_000
"""Inputs that go through the model for it, at most."""

WORK = 1_000_000_000
"""Inputs times parameters, at most: a fraction of a second."""


def importance_of(
    spec: RunSpec, split: Split, job: Job, predictions: Predictions | None
) -> list[Importance]:
    """What the model of a run loses on the test part with each column of its table.

    Of classes that is log loss gained; of a quantile pinball loss gained, in the unit of the
    target, of several in that in which they are learned; of other numbers R² lost; as a mean over
    the targets. Nothing where the run is on no
    table, or has nothing to say of the test part.

    Args:
        spec: of the run.
        split: its data.
        job: its model as the run left it.
        predictions: what that says of the test part.
    """
    preparation = split.preparation
    if preparation is None or preparation.kind != "table" or predictions is None:
        return []
    model, dtype = job.model.cpu().eval(), getattr(torch, spec.dtype)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    most = min(ROWS, WORK // max(1, parameters))
    x = job.test.to(device="cpu", dtype=dtype).batch()[0].numpy()

    def outputs(inputs: NDArray[Any]) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([model(part) for part in torch.from_numpy(inputs).split(8192)])

    if isinstance(predictions, ClassPredictions):
        labels = predictions.labels

        def losses(inputs: NDArray[Any], at: NDArray[np.int64]) -> NDArray[np.float64]:
            p = probabilities(outputs(inputs), logarithms=spec.takes_log_probabilities)
            return log_losses(p, labels[at])

    elif predictions.quantile is not None:
        truth, tau, goal = job.test.y.double().cpu().numpy(), predictions.quantile, preparation.goal
        assert isinstance(goal, Quantities)
        # Those of several targets have no unit in common but that in which they are learned.
        unit = goal.targets[0].scale if len(goal.targets) == 1 else 1.0

        def losses(inputs: NDArray[Any], at: NDArray[np.int64]) -> NDArray[np.float64]:
            errors = unit * (truth[at] - outputs(inputs).double().numpy())
            return np.asarray(np.maximum(tau * errors, (tau - 1) * errors).mean(axis=1))

    else:
        truth = job.test.y.double().cpu().numpy()
        # In the unit in which they are learned, of which R² does not depend.
        spread = truth.var(axis=0)

        def losses(inputs: NDArray[Any], at: NDArray[np.int64]) -> NDArray[np.float64]:
            errors = outputs(inputs).double().numpy() - truth[at]
            return np.asarray((errors**2 / np.where(spread > 0, spread, 1)).mean(axis=1))

    return permutation_importance(x, list(_columns(preparation)), losses, most=most)


def _columns(preparation: Preparation) -> Iterator[tuple[str, slice]]:
    """Each column of the table, with its features."""
    at = 0
    for encoder in preparation.encoders:
        end = at + len(encoder.features)
        yield encoder.name, slice(at, end)
        at = end
