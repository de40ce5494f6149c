"""Batch norms whose running figures are not those of the training examples.

In training a batch norm uses the mean and variance of the batch, in evaluation their running means
(Ioffe and Szegedy, 2015). Where these follow too slowly, or are those of other data, a model that
trains well predicts nonsense.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from gradus.diagnosis.cause import Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Experiment, Figure
from gradus.diagnosis.fork import WORST, WORST_EXAMPLE, Change
from gradus.engine.evaluate import outputs_of, test

KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

ENOUGH = 0.05


def _suspect(evidence: Evidence) -> Suspicion | None:
    """The model as it is, beside the same with figures of all training examples: no training."""
    sight = evidence.sights[-1]
    model = sight.model(evidence.job)
    norms = [m for m in model.modules() if isinstance(m, KINDS) and m.track_running_stats]
    if not norms or evidence.replay.status == "diverged":
        return None
    settled = _settled(model, evidence)
    data = evidence.sample if evidence.held is None else evidence.held
    loss = evidence.job.loss.cpu()
    before, after = (test(outputs_of(each), loss, data) for each in (model, settled))
    scale = float(before.masses.mean()) * evidence.line
    pair = [
        np.nan_to_num((each.losses / scale).numpy(), nan=WORST_EXAMPLE).clip(max=WORST_EXAMPLE)
        for each in (before, after)
    ]
    difference = pair[0] - pair[1]
    means = [min(float(each.mean()), WORST) for each in pair]
    if means[0] - means[1] < ENOUGH:
        return None
    gain = means[0] - means[1]
    # No loss counts more than the worst of a trial: what is cut off the mean is cut off its error.
    error = float(difference.std(ddof=1) / len(difference) ** 0.5)
    error *= gain / max(float(difference.mean()), 1e-12)
    change = Change(
        "running figures of all training examples",
        otherwise="give the batch norms a momentum near 0.1, and more steps, and call "
        "model.train() for training and model.eval() after it",
    )
    part = "training loss" if evidence.held is None else "validation loss"
    shown = Experiment(
        changed=change.said,
        measure=part,
        steps=sight.step,
        pairs=1,
        before=means[0],
        after=means[1],
        difference=gain,
        standard_error=error,
        beside="the model as it ended",
    )
    slowest = min(1.0 if norm.momentum is None else norm.momentum for norm in norms)
    figure = Figure("least momentum of a batch norm", slowest, "0.1 is usual")
    sentence = (
        "The batch norms evaluate with a mean and a variance that are not those of the examples: "
        "the model trains well, and predicts as if its layers were given something else."
    )
    return Suspicion(sentence, (figure,), [change], 0.9, shown=shown)


def _settled(model: nn.Module, evidence: Evidence) -> nn.Module:
    """A copy whose batch norms have the figures of the sample of training examples."""
    settled = copy.deepcopy(model)
    norms = [m for m in settled.modules() if isinstance(m, KINDS) and m.track_running_stats]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
        norm.train()
    x, _ = evidence.sample.batch()
    with torch.no_grad():
        settled(x)
    return settled.eval()


# Before the scale of the inputs, on which it depends how much a lagging mean is off.
CAUSE = Cause("batch norm out of step", 9, "docs/ideas/training.md", _suspect, "validation loss")
