r"""The inputs, or the target, are not brought to scale.

The curvature of the first layer grows with the square of its inputs: columns of very different size
make valleys far steeper across than along, and no learning rate suits both (LeCun et al., 1998).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gradus.data.dataset import Dataset
from gradus.diagnosis.cause import LEAST_GAIN, Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Figure
from gradus.diagnosis.fork import Change
from gradus.engine.job import Job

ENOUGH = 0.12
"""What bringing to scale has to take off the loss: a little is gained by it nearly always."""

LARGE, SMALL = 4.0, 0.05
"""The root mean square of an input above or below which it is out of scale."""

SPREAD = 20.0
"""So many times as large as another a column may be."""

LARGE_TARGET, SMALL_TARGET = 10.0, 0.03
"""The deviation of a target above or below which it is out of scale, or its mean above."""


def _columns(data: Dataset) -> Tensor:
    """Inputs by column, ``[N, columns]`` in float64; of images a column is a channel."""
    x, _ = data.batch()
    x = x.double()
    return x.movedim(1, -1).flatten(0, -2) if x.ndim == 4 else x.flatten(1)


def _inputs(evidence: Evidence) -> Suspicion | None:
    data = evidence.sample
    if (
        evidence.reached < LEAST_GAIN
        or data.x.dtype == torch.int64
        or evidence.case.spec.standardize
    ):
        return None
    x = _columns(data)
    deviation, size = x.std(dim=0), x.square().mean(dim=0).sqrt()
    varies = deviation > 1e-9 * size.clamp_min(1e-30)
    flags = ((x == 0) | (x == 1)).all(dim=0)
    plain = varies & ~flags
    if not bool(plain.any()):
        return None
    largest = float(size[plain].max())
    # Of nearly all columns: pixels at the edge of an image are hardly ever lit.
    low, high = x[:, plain].abs().amax(dim=0).quantile(x.new_tensor([0.05, 0.95])).tolist()
    spread = high / low
    figures = []
    if largest > LARGE or largest < SMALL:
        figures.append(Figure("largest size of an input", largest, "near 1 is in scale"))
    if spread > SPREAD and data.x.ndim == 2:
        figures.append(Figure("largest over least size of a column", spread, "1 is in scale"))
    if not figures:
        return None
    changes = [Change("inputs at mean 0 and deviation 1", {"standardize": True}, _standardised)]
    if _target_figures(evidence):  # where that is far larger, no step suits both
        options = {"standardize": True, "standardize_target": True}
        said = "inputs and target at mean 0 and deviation 1"
        changes.append(Change(said, options, lambda job: _centred(_standardised(job))))
    sentence = (
        "The inputs are not brought to scale: their sizes are far from 1 or far apart, so the same "
        "step is too long for some weights and too short for others."
    )
    return Suspicion(sentence, tuple(figures), changes, 0.95 if largest > LARGE else 0.5)


def _standardised(job: Job) -> Job:
    """The job with inputs at mean 0 and deviation 1, as the training examples have it."""
    x, _ = job.train.batch()
    images = x.ndim == 4
    over = (0, 2, 3) if images else (0,)
    mean, std = x.double().mean(dim=over), x.double().std(dim=over)
    std = torch.where(std > 1e-9, std, torch.ones_like(std))
    shape = (-1, 1, 1) if images else mean.shape
    mean, std = mean.view(shape), std.view(shape)

    def scaled(data: Dataset) -> Dataset:
        was_mean = 0.0 if data.mean is None else data.mean.double()
        was_std = 1.0 if data.std is None else data.std.double()
        own = data.x.dtype if data.x.is_floating_point() else data.dtype
        return replace(data, mean=(was_mean + was_std * mean).to(own), std=(was_std * std).to(own))

    return replace(job, train=scaled(job.train), test=scaled(job.test))


def _target_figures(evidence: Evidence) -> tuple[Figure, ...]:
    """What is out of scale of a target that is a number."""
    y = evidence.job.train.y
    if evidence.case.split.task != "regression":
        return ()
    y = y.double()
    deviation = float(y.std(dim=0).max()) if len(y) > 1 else 0.0
    mean = float(y.mean(dim=0).abs().max())
    figures = []
    if deviation > LARGE_TARGET or 0 < deviation < SMALL_TARGET:
        figures.append(Figure("deviation of the target", deviation, "near 1 is in scale"))
    if mean > LARGE_TARGET * max(deviation, 1.0):
        figures.append(Figure("mean of the target", mean, "near 0 is in scale"))
    return tuple(figures)


def _target(evidence: Evidence) -> Suspicion | None:
    if evidence.end < LEAST_GAIN:
        return None
    figures = _target_figures(evidence)
    if not figures:
        return None
    change = Change("a target at mean 0 and deviation 1", {"standardize_target": True}, _centred)
    sentence = (
        "The target is not brought to scale: the loss and its gradients are out of all proportion "
        "to the parameters."
    )
    return Suspicion(sentence, figures, [change], 0.95)


def _centred(job: Job) -> Job:
    """The job with a target at mean 0 and deviation 1, as the training examples have it."""
    y = job.train.y.double()
    mean, std = y.mean(dim=0), y.std(dim=0)
    std = torch.where(std > 0, std, torch.ones_like(std))

    def scaled(data: Dataset) -> Dataset:
        return replace(data, y=((data.y.double() - mean) / std).to(data.y.dtype))

    return replace(job, train=scaled(job.train), test=scaled(job.test))


CAUSES = (
    Cause(
        *("inputs not brought to scale", 10, "docs/ideas/training.md", _inputs, "validation loss"),
        least_gain=0.05,
    ),
    Cause("target not brought to scale", 10, "docs/ideas/training.md", _target, least_gain=ENOUGH),
)
