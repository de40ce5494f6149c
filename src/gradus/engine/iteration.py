"""What moves w in the eager engine: the pure equation, or the kernels, in place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor

from gradus.engine.recorded_risk import RecordedRisk
from gradus.engine.serialization import classes_of, deserialized, serialized
from gradus.methods.layout import Layout, begun
from gradus.methods.method import FirstOrder, Method
from gradus.methods.schedules import learning_rate
from gradus.optim.inplace import InPlaceUpdate, in_place_update_of
from gradus.risk.examples import Batch
from gradus.risk.tensors import Tensors

KEPT_AS = "walk"
"""The name of the iteration in checkpoints: those of earlier versions are read too."""


class Iteration(ABC):
    """The iterate of a method and its state; a step is evaluated first, then taken or not."""

    w: Tensors
    """The iterate w_t."""

    @abstractmethod
    def evaluate(self, batch: Batch) -> None:
        """Evaluate what the next step needs."""

    @abstractmethod
    def update(self, step: int) -> None:
        """Take the step that was evaluated, the one of this number."""

    @abstractmethod
    def serialized(self, tensors: dict[str, Tensor]) -> Any:
        """What the next steps begin with, in the words of JSON, its tensors put aside."""

    @abstractmethod
    def restore(self, form: Any, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what was serialized."""

    @abstractmethod
    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Steps are taken within; outside, the model is the engine's to evaluate."""


@final
class PureIteration(Iteration):
    """The equation as it stands, for any method on any device."""

    def __init__(self, method: Method, oracle: RecordedRisk, w: Tensors) -> None:
        self.method, self.oracle, self.w = method, oracle, w
        self.state: Any = begun(method, w, Layout.of_model(oracle.moving.model))
        self.next: tuple[Tensors, Any] = w, self.state

    def evaluate(self, batch: Batch) -> None:
        """The next point and the next state."""
        self.next = self.method.step(self.oracle, self.w, self.state, batch)

    def update(self, step: int) -> None:
        """Go there."""
        self.w, self.state = self.next

    def serialized(self, tensors: dict[str, Tensor]) -> Any:
        """The point, and the state of the method."""
        return serialized({"w": self.w, "state": self.state}, KEPT_AS, tensors)

    def restore(self, form: Any, tensors: Mapping[str, Tensor]) -> None:
        """The state is made of what the method's own first one speaks of."""
        begun = deserialized(form, tensors, classes_of(self.state))
        self.w, self.state = begun["w"], begun["state"]

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Every evaluation brings the model to its own point."""
        yield


@final
class InPlaceIteration(Iteration):
    """A first-order method by the kernels: w and the state are overwritten."""

    def __init__(
        self, method: FirstOrder, kernels: InPlaceUpdate, oracle: RecordedRisk, w: Tensors
    ) -> None:
        self.method, self.kernels, self.oracle = method, kernels, oracle
        self.query = w
        begun = method.init(w)
        self.state = [
            list(map(torch.clone, begun_of.values))
            if (begun_of := w if name == "iterate" else getattr(begun, name)) is not None
            else list(map(torch.zeros_like, w.values))  # the buffer of SGD, before its first step
            for name in kernels.state_names
        ]
        self.w = Tensors(self.state[0]) if "iterate" in kernels.state_names else w
        self.gradient = w
        self.written = {value.untyped_storage()._cdata for value in w.values}

    def evaluate(self, batch: Batch) -> None:
        """The gradient at the query."""
        self.gradient = self.oracle.gradient(self.query, batch)

    def update(self, step: int) -> None:
        """Move w by the gradient."""
        values = list(self.query.values)
        # A function of the model's own may hand out a parameter as a gradient.
        gradients = [
            g.clone() if g.untyped_storage()._cdata in self.written else g
            for g in self.gradient.values
        ]
        rate = float(learning_rate(self.method.lr, step))
        ahead = getattr(self.method, "beta", 0.0)
        columns = [values, gradients, *self.state]
        if not self.kernels.apply(columns, rate, ahead=ahead, step=step):
            columns[1] = [
                torch.empty_like(w).copy_(g) for w, g in zip(values, gradients, strict=True)
            ]
            taken = self.kernels.apply(columns, rate, ahead=ahead, step=step)
            assert taken, "the kernels take copies that lie as w does"

    def serialized(self, tensors: dict[str, Tensor]) -> Any:
        """The query, and the state."""
        return serialized([list(self.query.values), *self.state], KEPT_AS, tensors)

    def restore(self, form: Any, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite both where they lie."""
        begun = deserialized(form, tensors)
        for column, values in zip([self.query.values, *self.state], begun, strict=True):
            torch._foreach_copy_(column, values)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """The model stands at the query: no evaluation has to bring it there."""
        with self.oracle.moving.placed_at(self.query):
            yield


def iteration_of(method: Method, oracle: RecordedRisk, w: Tensors) -> Iteration:
    """The iteration of a method from w: in place where the kernels know it and reach w."""
    if isinstance(method, FirstOrder) and (kernels := in_place_update_of(method)) is not None:
        kinds = {(type(value), value.dtype, value.device.type) for value in w.values}
        if len(kinds) == 1 and kinds <= {
            (Tensor, torch.float32, "cpu"),
            (Tensor, torch.float64, "cpu"),
        }:
            return InPlaceIteration(method, kernels, oracle, w)
    return PureIteration(method, oracle, w)
