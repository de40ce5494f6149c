"""The risk as a method sees it, recording the first evaluation of every step for the engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from gradus.engine.clipping import Clip
from gradus.engine.dropping import Dropping
from gradus.risk.curvature import Curvature
from gradus.risk.empirical import EmpiricalRisk
from gradus.risk.examples import Batch, size_of
from gradus.risk.tensors import Tensors
from gradus.risk.together import share


@dataclass
class FirstEvaluation:
    """What the method saw first in a step: where it stood, and the mean loss there."""

    point: Tensors | None = None
    loss: Tensor = field(default_factory=lambda: torch.tensor(math.nan))
    step: int = 0
    seed: int = 0
    """Of what is random in the model, the same for all evaluations of the step."""


@dataclass
class Work:
    """How many examples were evaluated so far, each gradient and each Hessian product counted."""

    examples: int = 0


class _CountedCurvature:
    """A curvature whose products are counted."""

    def __init__(
        self, curvature: Curvature[Tensors], evaluated: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self.curvature, self.evaluated = curvature, evaluated

    def __matmul__(self, v: Tensors) -> Tensors:
        with self.evaluated():
            return self.curvature @ v


class RecordedRisk:
    """The risk as the method sees it, remembering the first evaluation of every step.

    The engine records the loss that the first gradient came with: nothing is evaluated twice, and
    what a line search tries afterwards is not taken for the loss of the step. For the same reason
    only the first evaluation moves the running statistics of layers such as batch normalisation.

    Args:
        moving: the risk whose evaluations move running statistics.
        resting: the same risk, whose evaluations change nothing.
        repeats: whether the method evaluates f more than once a step. What is random in the model
            is then the same in all evaluations of a step, so that they are of one function.
        dropping: draws for dropout, the same units within a step; None where the model has none.
        first: shared with the risk that this one is a part of.
        work: likewise. A Hessian or Gauss-Newton matrix counts as its d products; values alone
            count nothing.
        clip: shortens gradients, the part of the penalty in them too.
    """

    def __init__(
        self,
        moving: EmpiricalRisk,
        resting: EmpiricalRisk,
        *,
        repeats: bool,
        first: FirstEvaluation | None = None,
        work: Work | None = None,
        clip: Clip | None = None,
        dropping: Dropping | None = None,
    ) -> None:
        self.moving, self.resting, self.repeats = moving, resting, repeats
        self.dropping = dropping
        self.first = FirstEvaluation() if first is None else first
        self.work = Work() if work is None else work
        self.penalty, self.clip = moving.penalty, clip

    @cached_property
    def smooth(self) -> RecordedRisk:
        """The risk without its penalty, recording in the same place."""
        if self.penalty is None:
            return self
        parts = self.moving.smooth, self.resting.smooth
        return RecordedRisk(
            *parts,
            repeats=self.repeats,
            first=self.first,
            work=self.work,
            clip=self.clip,
            dropping=self.dropping,
        )

    def gradient(self, w: Tensors, batch: Batch | None = None) -> Tensors:
        """The gradient of f at w."""
        return self._loss_and_gradient(w, batch)[1]

    def value_and_gradient(self, w: Tensors, batch: Batch | None = None) -> tuple[Tensor, Tensors]:
        """F and its gradient at w."""
        loss, g = self._loss_and_gradient(w, batch)
        return (loss if self.penalty is None else loss + self.penalty.value(w)), g

    def value(self, w: Tensors, batch: Batch | None = None) -> Tensor:
        """F at w."""
        with self.drawing(batch):
            return self.resting.value(w, batch)

    def hvp(self, w: Tensors, v: Tensors, batch: Batch | None = None) -> Tensors:
        """The Hessian of f at w, times v."""
        self._count(batch)
        with self.drawing(batch):
            return self.resting.hvp(w, v, batch)

    def curvature_at(self, w: Tensors, batch: Batch | None = None) -> _CountedCurvature:
        """The Hessian of f at w, for many products."""
        with self.drawing(batch):
            curvature = self.resting.curvature_at(w, batch)

        @contextmanager
        def evaluated() -> Iterator[None]:
            self._count(batch)
            with self.drawing(batch):
                yield

        return _CountedCurvature(curvature, evaluated)

    def hessian(self, w: Tensors, batch: Batch | None = None) -> Tensor:
        """The Hessian of f at w."""
        self._count(batch, products=self.moving.dimension)
        with self.drawing(batch):
            return self.resting.hessian(w, batch)

    def gauss_newton(self, w: Tensors, batch: Batch | None = None) -> Tensor:
        """The Gauss-Newton matrix of f at w."""
        self._count(batch, products=self.moving.dimension)
        with self.drawing(batch):
            return self.resting.gauss_newton(w, batch)

    def _loss_and_gradient(self, w: Tensors, batch: Batch | None = None) -> tuple[Tensor, Tensors]:
        loss, g = self._whole(w, batch)
        return loss, g if self.clip is None else self.clip(g)

    def _whole(self, w: Tensors, batch: Batch | None = None) -> tuple[Tensor, Tensors]:
        """The loss and all of the gradient."""
        self._count(batch)
        if self.first.point is not None:
            with self.drawing(batch):
                return self.resting.loss_and_gradient(w, batch)
        if self.repeats:
            self.first.seed = int(torch.randint(2**62, ()))
        with self.drawing(batch):
            loss, g = self.moving.loss_and_gradient(w, batch)
        self.first.point, self.first.loss = w, loss
        return loss, g

    def _count(self, batch: Batch | None, *, products: int = 1) -> None:
        self.work.examples += products * size_of(batch, len(self.moving.data))

    @contextmanager
    def drawing(self, batch: Batch | None) -> Iterator[None]:
        """What the model draws within is what it drew before in this step."""
        if self.dropping is None and not self.repeats:
            yield
            return
        with ExitStack() as stack:
            if self.dropping is not None:
                row, size = 0, size_of(batch, len(self.moving.data))
                if self.moving.together is not None:
                    at = share(size, self.moving.together)
                    row, size = at.start, at.stop - at.start
                in_chunks = size > self.moving.chunk_size
                drawn = self.dropping.of(self.first.step, in_chunks=in_chunks, row=row)
                stack.enter_context(drawn)
            if self.repeats:
                stack.enter_context(torch.random.fork_rng())
                torch.manual_seed(self.first.seed)
            yield
