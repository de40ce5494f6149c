"""How good a model is on data it was not trained on: mean loss and accuracy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gradus.data.dataset import Dataset
from gradus.risk.chunks import averaged, summed
from gradus.risk.losses import Loss

CHUNK = 2000


Outputs = Callable[[slice], Tensor]
"""What a model gives for the examples of a slice, one row each."""


def evaluate(model: nn.Module, loss: Loss, data: Dataset) -> tuple[float, float | None]:
    """The mean loss over all examples, and the accuracy (None where the targets are no classes).

    The model is put into ``eval`` mode for the pass, and every part of it back into its own, also
    where the pass fails.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            return judge(lambda at: model(data.batch(at)[0]), loss, data)
    finally:
        for module, training in modes:
            module.training = training


def judge(outputs: Outputs, loss: Loss, data: Dataset) -> tuple[float, float | None]:
    """The mean loss and the accuracy of these outputs."""
    totals, masses, correct = [], [], torch.zeros((), dtype=torch.int64)
    for start in range(0, len(data), CHUNK):
        at = slice(start, min(start + CHUNK, len(data)))
        output, y = outputs(at), data.targets(at)
        total, mass = summed(loss, output, y)
        totals.append(total.double())
        masses.append(mass)
        if data.classes is not None:
            correct = correct + _correct(output, y)
    mean = float(averaged(torch.stack(totals).sum(), masses))
    return mean, None if data.classes is None else int(correct) / len(data)


def _correct(output: Tensor, y: Tensor) -> Tensor:
    """How many of the largest outputs stand at the class, or at its largest probability."""
    classes = y.argmax(dim=1) if y.is_floating_point() else y
    return (output.argmax(dim=1) == classes).sum().cpu()
