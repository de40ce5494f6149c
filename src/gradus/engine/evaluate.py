"""How good a model is on a part of the data: mean loss and accuracy, and example by example."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from gradus.data.dataset import Dataset
from gradus.engine.job import Judged, Tested
from gradus.engine.selection import NO_SCORES, Score, Scores
from gradus.risk.chunks import averaged, summed
from gradus.risk.examples import weights_of
from gradus.risk.losses import Loss, OwnLoss, weighted

CHUNK, LARGEST, INPUTS = 2000, 8192, 2**19
"""Examples that go through a model together; more where they are small, up to so many inputs: each
call of torch waits for its slowest thread."""

Outputs = Callable[[Dataset, slice], Tensor]
"""What a model gives for the examples of a slice, one row each."""


def outputs_of(model: nn.Module) -> Outputs:
    """The outputs of a model in ``eval`` mode.

    Every part of it is put back into its own mode, also where the pass fails.
    """

    def outputs(data: Dataset, at: slice) -> Tensor:
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        try:
            with torch.no_grad():
                given: Tensor = model(data.batch(at)[0])
        finally:
            for module, training in modes:
                module.training = training
        return given

    return outputs


def outputs_on(model: nn.Module, data: Dataset) -> Tensor:
    """The outputs of a model in ``eval`` mode for all examples, of which a few are cut at once.

    Example:
        >>> data = Dataset(torch.arange(6.0)[:, None], torch.zeros(6, dtype=torch.int64))
        >>> outputs_on(nn.Identity(), data).tolist()[-1]
        [5.0]
    """
    outputs = outputs_of(model)
    return torch.cat([outputs(data, at) for at in _slices(data)])


def evaluate(model: nn.Module, loss: Loss, data: Dataset) -> Judged:
    """The mean loss over all examples, and the accuracy (None where the targets are no classes).

    The model is in ``eval`` mode for it, and left as it was.
    """
    return judge(outputs_of(model), loss, data)


def judge(
    outputs: Outputs,
    loss: Loss,
    data: Dataset,
    score: Score | None = None,
    metrics: Scores = NO_SCORES,
) -> Judged:
    """The mean loss and the accuracy of these outputs, and scores of all of them together."""
    totals, masses, correct = [], [], torch.zeros((), dtype=torch.int64)
    given = []
    for at in _slices(data):
        output, y = outputs(data, at), data.targets(at)
        if score is not None or metrics:
            given.append(output)
        total, mass = summed(weighted(loss, weights_of(data, at)), output, y)
        totals.append(total.double())
        masses.append(mass)
        if data.classes is not None:
            correct = correct + _correct(output, y)
    mean = float(averaged(torch.stack(totals).sum(), masses))
    accuracy = None if data.classes is None else int(correct) / len(data)
    if not given:
        return Judged(mean, accuracy)
    everything, targets = torch.cat(given), data.targets()

    @cache
    def taken(figure: Score) -> float | None:
        value = figure(everything, targets)
        return None if math.isnan(value) else value

    measured = None if score is None else taken(score)
    return Judged(mean, accuracy, measured, {name: taken(f) for name, f in metrics.items()})


def test(
    outputs: Outputs,
    loss: Loss,
    data: Dataset,
    metrics: Scores = NO_SCORES,  # noqa: PT028  (no test of pytest)
) -> Tested:
    """The same, with what the model gives for every example and what it adds to the mean loss."""
    given = {at.start: outputs(data, at) for at in _slices(data)}
    found = [terms(loss, given[at.start], data.targets(at)) for at in _slices(data)]
    losses, masses = (torch.cat(parts).double().cpu() for parts in zip(*found, strict=True))
    if data.weights is not None:
        weights = data.weights.double().cpu()
        losses, masses = losses * weights, masses * weights
    judged = judge(lambda data, at: given[at.start], loss, data, metrics=metrics)
    everything = torch.cat(list(given.values())).cpu()
    return Tested(judged.loss, judged.accuracy, losses, masses, everything, judged.metrics)


def terms(loss: Loss, output: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """What each example adds to the sum of the losses and to what this is divided by, ``[n]``."""

    def of_one(output: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        total, mass = summed(loss, output[None], y[None])
        return total, mass if isinstance(mass, Tensor) else total.new_full((), mass)

    if isinstance(loss, OwnLoss):  # which may be one that torch cannot map over examples
        found = [of_one(*pair) for pair in zip(output, y, strict=True)]
        return torch.stack([each for each, _ in found]), torch.stack([each for _, each in found])
    losses, masses = torch.vmap(of_one)(output, y)
    return losses, masses


def _slices(data: Dataset) -> list[slice]:
    size = max(CHUNK, min(LARGEST, INPUTS // max(1, math.prod(data.input_shape))))
    return [slice(at, min(at + size, len(data))) for at in range(0, len(data), size)]


def _correct(output: Tensor, y: Tensor) -> Tensor:
    """How many of the largest outputs stand at the class, or at its largest probability."""
    classes = y.argmax(dim=1) if y.is_floating_point() else y
    return (decided(output) == classes).sum().cpu()


def decided(output: Tensor) -> Tensor:
    """``[n]``: the class of the largest of the outputs ``[n, C]``; of one logit, 1 where above 0.

    Example:
        >>> decided(torch.tensor([[0.3], [-0.1]])), decided(torch.tensor([[0.1, 2.0]]))
        (tensor([1, 0]), tensor([1]))
    """
    return (output[:, 0] > 0).long() if output.shape[1] == 1 else output.argmax(dim=1)
