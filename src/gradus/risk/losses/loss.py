"""What is a loss: terms for all its elements or examples, and how they are reduced."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from gradus.risk.precision import is_narrow, total


class Terms(NamedTuple):
    """The terms of a loss before reduction; the mean is ``sum(values) / mass``.

    Args:
        values: what the reduction "none" returns, here in float32 where a loss had to go beyond
            float16 or bfloat16 to find them.
        mass: what the reduction "mean" (for KL also "batchmean") divides by: a number, or a 0-d
            tensor where it depends on the targets. Masses and sums of values add up over chunks of
            the data, so ``mean(total, mass)`` of the sums is the mean over all chunks.
    """

    values: Tensor
    mass: float | Tensor


def mean(total: Tensor, mass: float | Tensor) -> Tensor:
    """Divide the sum of the values by their mass; 0, with zero gradient, where a tensor mass is 0.

    A mass that is a number is 0 only where there are no elements at all; the mean is then NaN, as
    in torch.nn.
    """
    if isinstance(mass, Tensor):
        weightless = mass == 0
        return total.masked_fill(weightless, 0) / mass.masked_fill(weightless, 1)
    return total / mass


class Loss(torch.nn.Module, ABC):
    """A loss; it owns the reduction, and each final class states its ``terms``."""

    reductions: ClassVar[tuple[str, ...]] = ("none", "mean", "sum")
    reduction: str

    def __init__(self, size_average: bool | None, reduce: bool | None, reduction: str) -> None:
        super().__init__()
        if size_average is not None or reduce is not None:
            reduction = _legacy_reduction(size_average, reduce)
            warnings.warn(
                f"size_average and reduce are deprecated; use reduction={reduction!r} instead",
                DeprecationWarning,
                stacklevel=3,  # the caller of the final class's __init__
            )
        if reduction not in self.reductions:
            accepted = ", ".join(map(repr, self.reductions))
            raise ValueError(f"reduction={reduction!r} is not one of {accepted}")
        self.reduction = reduction

    @abstractmethod
    def terms(self, input: Tensor, target: Tensor) -> Terms:  # noqa: A002 (torch.nn's name)
        """Return the values before reduction and what their mean divides by."""

    def mean_at_once(self, input: Tensor, target: Tensor) -> Tensor | None:  # noqa: A002
        """Return the mean where one call of torch gives it; None where it is made of terms.

        At batch 16 a loss costs what its calls and the nodes of its graph cost.
        """
        return None

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002 (torch.nn's name)
        """Return the terms of ``input`` against ``target``, reduced.

        Added up in float32 at least, and returned in the type of ``input`` and ``target``.
        """
        if self.reduction == "mean" and (mean := self.mean_at_once(input, target)) is not None:
            return mean
        reduced = self._reduced(*self.terms(input, target))
        if not is_narrow(input.dtype):
            return reduced
        is_wider = target.is_floating_point() and not is_narrow(target.dtype)
        return reduced.to(target.dtype if is_wider else input.dtype)

    def _reduced(self, values: Tensor, mass: float | Tensor) -> Tensor:
        if self.reduction == "none":
            return values
        if self.reduction == "sum":
            return total(values)
        # One inner product is one node of the graph where sum and division are two, and at batch 16
        # nodes are what a loss costs. It accumulates less accurately than sum, hence the bounds.
        is_short = values.dim() == 1 and 0 < len(values) <= 1024
        if is_short and not isinstance(mass, Tensor) and not is_narrow(values.dtype):
            return values.dot(torch.full_like(values, 1 / mass))
        return mean(total(values), mass)


def _legacy_reduction(size_average: bool | None, reduce: bool | None) -> str:
    if reduce is None or reduce:
        return "mean" if size_average is None or size_average else "sum"
    return "none"


def require_equal_shapes(output: Tensor, target: Tensor) -> None:
    """Refuse shapes that would only broadcast against each other.

    Raises:
        ValueError: the shapes differ.
    """
    if output.shape != target.shape:
        raise ValueError(
            f"input of shape {tuple(output.shape)} and target of shape {tuple(target.shape)} "
            "differ; they must be equal, nothing is broadcast"
        )
