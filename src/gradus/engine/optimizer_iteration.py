"""What moves w where the method is an optimizer: its own step, in place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor
from torch.optim import Optimizer

from gradus.engine.iteration import KEPT_AS, Iteration
from gradus.engine.recorded_risk import RecordedRisk
from gradus.engine.serialization import deserialized, serialized
from gradus.optim.as_method import OptimizerMethod, leaves_of, take
from gradus.risk.examples import Batch
from gradus.risk.tensors import Tensors


@final
class OptimizerIteration(Iteration):
    """A ``torch.optim.Optimizer`` that overwrites w."""

    def __init__(self, method: OptimizerMethod, oracle: RecordedRisk, w: Tensors) -> None:
        self.oracle = oracle
        self.leaves = leaves_of(w)
        self.optimizer: Optimizer = method.build(self.leaves)
        self.w = Tensors([leaf.detach() for leaf in self.leaves])
        self.batch: Batch | None = None
        self.value = torch.tensor(math.nan)

    def evaluate(self, batch: Batch) -> None:
        """The gradient at w."""
        self.batch = batch
        self.value = self._evaluated(self.w)

    def update(self, step: int) -> None:
        """The step of the optimizer."""
        take(self.optimizer, self._again, self.value)

    def rate(self, step: int) -> float:
        """The learning rate of the step to come, which others may change."""
        return float(self.optimizer.param_groups[0].get("lr", math.nan))

    def serialized(self, tensors: dict[str, Tensor]) -> Any:
        """W, and what the optimizer remembers."""
        state = self.optimizer.state_dict()
        return serialized({"w": list(self.w.values), "state": state}, KEPT_AS, tensors)

    def restore(self, form: Any, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite both."""
        begun = deserialized(form, tensors)
        torch._foreach_copy_(self.w.values, begun["w"])
        self.optimizer.load_state_dict(begun["state"])

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """The model stands at w."""
        with self.oracle.moving.placed_at(self.w):
            yield

    def _again(self) -> Tensor:
        """F within a step, where the optimizer has moved the parameters meanwhile."""
        return self._evaluated(Tensors([leaf.detach().clone() for leaf in self.leaves]))

    def _evaluated(self, w: Tensors) -> Tensor:
        value, g = self.oracle.value_and_gradient(w, self.batch)
        for leaf, part in zip(self.leaves, g.values, strict=True):
            leaf.grad = part
        return value
