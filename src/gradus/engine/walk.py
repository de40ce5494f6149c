"""What moves w in the eager engine: the pure equation, or the kernels, in place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor

from gradus.engine.apart import classes_of, put_together, taken_apart
from gradus.engine.watched import Watched
from gradus.methods.method import FirstOrder, Method
from gradus.methods.schedules import learning_rate
from gradus.optim.moving import Mover, mover_of
from gradus.risk.empirical import Batch
from gradus.risk.tensors import Tensors


class Walk(ABC):
    """A method on its way: a step is looked at first, and taken if nothing speaks against it."""

    w: Tensors
    """The iterate w_t."""

    @abstractmethod
    def look(self, batch: Batch) -> None:
        """Evaluate what the next step needs."""

    @abstractmethod
    def take(self, step: int) -> None:
        """Take the step that was looked at, the one of this number."""

    @abstractmethod
    def taken_apart(self, tensors: dict[str, Tensor]) -> Any:
        """What the next steps begin with, in the words of JSON, its tensors put aside."""

    @abstractmethod
    def go_on(self, form: Any, tensors: Mapping[str, Tensor]) -> None:
        """Begin with what was taken apart."""

    @abstractmethod
    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Steps are taken within; outside, the model is the engine's to evaluate."""


@final
class Pure(Walk):
    """The equation as it stands, for any method on any device."""

    def __init__(self, method: Method, oracle: Watched, w: Tensors) -> None:
        self.method, self.oracle, self.w = method, oracle, w
        self.state: Any = method.init(w)
        self.next: tuple[Tensors, Any] = w, self.state

    def look(self, batch: Batch) -> None:
        """The next point and the next state."""
        self.next = self.method.step(self.oracle, self.w, self.state, batch)

    def take(self, step: int) -> None:
        """Go there."""
        self.w, self.state = self.next

    def taken_apart(self, tensors: dict[str, Tensor]) -> Any:
        """The point, and the state of the method."""
        return taken_apart({"w": self.w, "state": self.state}, "walk", tensors)

    def go_on(self, form: Any, tensors: Mapping[str, Tensor]) -> None:
        """The state is made of what the method's own first one speaks of."""
        begun = put_together(form, tensors, classes_of(self.state))
        self.w, self.state = begun["w"], begun["state"]

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Every evaluation brings the model to its own point."""
        yield


@final
class InPlace(Walk):
    """A first-order method by the kernels: w and what is remembered are overwritten."""

    def __init__(self, method: FirstOrder, mover: Mover, oracle: Watched, w: Tensors) -> None:
        self.method, self.mover, self.oracle = method, mover, oracle
        self.query = w
        # What begins as w itself, and what begins as 0.
        self.remembered = [
            [
                value.clone() if name in ("previous", "iterate") else torch.zeros_like(value)
                for value in w.values
            ]
            for name in mover.remembered
        ]
        self.w = Tensors(self.remembered[0]) if "iterate" in mover.remembered else w
        self.gradient = w
        self.written = {value.untyped_storage()._cdata for value in w.values}

    def look(self, batch: Batch) -> None:
        """The gradient at the query."""
        self.gradient = self.oracle.gradient(self.query, batch)

    def take(self, step: int) -> None:
        """Move w by the gradient."""
        values = list(self.query.values)
        # A function of the model's own may hand out a parameter as a gradient.
        gradients = [
            g.clone() if g.untyped_storage()._cdata in self.written else g
            for g in self.gradient.values
        ]
        rate = float(learning_rate(self.method.lr, step))
        ahead = getattr(self.method, "beta", 0.0)
        columns = [values, gradients, *self.remembered]
        if not self.mover.move(columns, rate, ahead=ahead, step=step):
            columns[1] = [
                torch.empty_like(w).copy_(g) for w, g in zip(values, gradients, strict=True)
            ]
            moved = self.mover.move(columns, rate, ahead=ahead, step=step)
            assert moved, "the kernels take copies that lie as w does"

    def taken_apart(self, tensors: dict[str, Tensor]) -> Any:
        """The query, and what is remembered."""
        return taken_apart([list(self.query.values), *self.remembered], "walk", tensors)

    def go_on(self, form: Any, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite both where they lie."""
        begun = put_together(form, tensors)
        for column, values in zip([self.query.values, *self.remembered], begun, strict=True):
            torch._foreach_copy_(column, values)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """The model stands at the query: no evaluation has to bring it there."""
        with self.oracle.moving.held_at(self.query):
            yield


def walk_of(method: Method, oracle: Watched, w: Tensors) -> Walk:
    """The walk of a method from w: in place where the kernels know it and w lies where they go."""
    if isinstance(method, FirstOrder) and (mover := mover_of(method)) is not None:
        kinds = {(type(value), value.dtype, value.device.type) for value in w.values}
        if len(kinds) == 1 and kinds <= {
            (Tensor, torch.float32, "cpu"),
            (Tensor, torch.float64, "cpu"),
        }:
            return InPlace(method, mover, oracle, w)
    return Pure(method, oracle, w)
