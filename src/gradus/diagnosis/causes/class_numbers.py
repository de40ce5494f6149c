"""Classes that are learned as numbers: the third is not thrice the first."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import nn

from gradus.data.dataset import Dataset
from gradus.diagnosis.cause import Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Experiment, Figure
from gradus.diagnosis.fork import Change
from gradus.diagnosis.layers import ACTIVATIONS, chain_of, chained
from gradus.engine.job import Job
from gradus.risk.losses import CrossEntropyLoss, HuberLoss, L1Loss, MSELoss

MOST = 30
"""Different values, more than which are no classes."""

OFTEN = 5
"""So many examples have each of them, at least."""

GAIN, TOLD, MANY = 0.1, 0.5, 0.3
"""Of the mistakes of the most frequent class, as many have to be saved, and as many may be left,
unless many are saved: numbers that are counts, or marks, no classifier tells apart either."""


def _suspect(evidence: Evidence) -> Suspicion | None:
    data = evidence.job.train
    losses = (MSELoss, L1Loss, HuberLoss)
    if data.classes is not None or not isinstance(evidence.job.loss, losses) or data.outputs != 1:
        return None
    values, counts = data.y.flatten().double().unique(return_counts=True)
    whole = bool((values == values.round()).all()) and float(values.min()) in (0.0, 1.0)
    if not (whole and 2 < len(values) <= MOST and int(counts.min()) >= OFTEN):
        return None
    if float(values.max() - values.min()) + 1 != len(values):
        return None
    figure = Figure("different targets", len(values), "all of them whole numbers in a row")
    sentence = (
        "The targets look like classes, and are learned as numbers: then the model is told that "
        "the first is closer to the second than to the third. If they are classes, say so."
    )
    words = "give y as integers, with a loss and outputs for classes, as cross-entropy"
    change = Change("classes as classes, with cross-entropy", apply=_as_classes, otherwise=words)
    return Suspicion(sentence, (figure,), [change], 0.9, told=True)


def _as_classes(job: Job) -> Job:
    """The job with an output for each class, and cross-entropy."""
    values = job.train.y.flatten().unique(sorted=True)
    names = tuple(str(int(value)) for value in values)
    first = int(values[0])

    def named(data: Dataset) -> Dataset:
        y = (data.y.flatten().round().long() - first).clamp(0, len(names) - 1)
        return replace(data, y=y, classes=names)

    return replace(
        *(job,), model=with_outputs(job.model, len(names)), loss=CrossEntropyLoss(),
        train=named(job.train), test=named(job.test),
    )  # fmt: skip


def with_outputs(model: nn.Module, outputs: int) -> nn.Module:
    """A copy whose last linear layer is drawn anew with so many outputs, and stands at the end.

    Example:
        >>> with_outputs(nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1)), 3)[-1]
        Linear(in_features=4, out_features=3, bias=True)
    """
    model = copy.deepcopy(model)
    chain = chain_of(model)
    if chain is not None:
        while isinstance(chain[-1], (*ACTIVATIONS, nn.Softmax)):
            chain.pop()
        model = chained(chain, model)
    name, last = [each for each in model.named_modules() if isinstance(each[1], nn.Linear)][-1]
    assert isinstance(last, nn.Linear)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        new = nn.Linear(last.in_features, outputs, last.bias is not None).to(last.weight)
    if not name:
        return new
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, new)
    return model


def _are_classes(found: Experiment) -> bool:
    return found.after <= TOLD or (found.difference >= MANY and found.after <= 1 - MANY)


CAUSE = Cause(
    *("classes taken for numbers", 20, "docs/ideas/losses.md", _suspect),
    *("share of wrong classes", GAIN),
    shows=_are_classes,
)
