"""What each class counts in a loss, once the training examples are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradus.errors import InputError, brief, quoted
from gradus.runs.parts.class_weight import BALANCED, pair

if TYPE_CHECKING:
    from torch import Tensor

    from gradus.data.dataset import Dataset


def weights_of(given: tuple[str, ...], train: Dataset) -> Tensor | None:
    r"""What each class counts in the loss, float64 ``[C]``; None where all count alike.

    Where they are balanced, a class with $n_c$ of the N training examples counts
    $N / (C \, n_c)$, so that all examples of a class together count as much as those of any other;
    examples with weights are counted by them. A class that is not named counts 1, and so does one
    without training examples.

    Args:
        given: as a spec holds it.
        train: the training examples, of classes.

    Raises:
        InputError: a class is unknown, or none that counts has training examples.

    Example:
        >>> import torch
        >>> from gradus.data.dataset import Dataset
        >>> data = Dataset(torch.zeros(4, 1), torch.tensor([0, 0, 0, 1]), classes=("no", "yes"))
        >>> weights_of(("balanced",), data), weights_of(("yes=3",), data)
        (tensor([0.6667, 2.0000], dtype=torch.float64), tensor([1., 3.], dtype=torch.float64))
    """
    import torch

    if not given:
        return None
    counts = class_counts(train)
    if given == BALANCED:
        there = counts > 0
        shares = counts / counts.sum() * there.sum()
        return torch.where(there, 1 / shares, 1.0)
    classes = train.classes or tuple(map(str, range(train.outputs)))
    weights = torch.ones_like(counts)
    for name, weight in map(pair, given):
        if name not in classes:
            known = ", ".join(map(brief, classes[:5])) + (", .." if len(classes) > 5 else "")
            raise InputError(f"--class-weight {quoted(name)}: no such class; there are {known}")
        weights[classes.index(name)] = weight
    if not bool((weights * counts > 0).any()):
        raise InputError(
            "--class-weight: every class with training examples counts 0; give one more than that"
        )
    return weights


def class_counts(data: Dataset) -> Tensor:
    """How many examples each class has, or their weights, ``[C]``; of probabilities, their sums."""
    import torch

    y = data.y
    weights = torch.ones(len(y)) if data.weights is None else data.weights
    if y.is_floating_point():
        return weights.double() @ y.double()
    return torch.bincount(y, weights.double(), minlength=data.outputs)
