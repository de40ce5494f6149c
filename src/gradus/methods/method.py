"""The form of a method: an equation that moves w."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

from gradus.methods.schedules import LearningRate

# A point is a tensor [d] or [K, d], or gradus.risk.tensors.Tensors: whatever adds and scales.
Point = Any
Batch = Any
State = Any


class Oracle(Protocol):
    """All that a method sees of what it minimises."""

    def value(self, w: Point, batch: Batch = None) -> Any:
        """f(w) on a batch, or on the whole data."""

    def gradient(self, w: Point, batch: Batch = None) -> Point:
        """The gradient of f at w."""


class Method(ABC):
    r"""A method moves w by one step: $(w_t, s_t) \mapsto (w_{t+1}, s_{t+1})$.

    Methods are values (frozen dataclasses of hyper-parameters) and pure: ``step`` returns the new
    point and the new state, and changes nothing. A point is anything that adds and scales as
    vectors do: a tensor ``[d]``, a tensor ``[K, d]`` of K runs (hyper-parameters ``[K, 1]``), or
    the parameters of a module as :class:`~gradus.risk.tensors.Tensors`. The state always carries
    ``step``, the number of updates so far.
    """

    lr: LearningRate

    @abstractmethod
    def init(self, w: Point) -> State:
        """The state before the first step, at w."""

    @abstractmethod
    def step(self, f: Oracle, w: Point, state: State, batch: Batch = None) -> tuple[Point, State]:
        """The next point and the next state."""


class FirstOrder(Method):
    """A method that takes one gradient a step: ``query`` says where, ``update`` what to do."""

    @abstractmethod
    def query(self, w: Point, state: State) -> Point:
        """The point at which the gradient is taken."""

    @abstractmethod
    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """The next point and the next state, given the gradient g at the query."""

    def step(self, f: Oracle, w: Point, state: State, batch: Batch = None) -> tuple[Point, State]:
        """One gradient at the query, then the update."""
        return self.update(w, f.gradient(self.query(w, state), batch), state)


class GradientAtIterate(FirstOrder):
    """A first-order method that takes its gradient at w itself: only ``update`` is its own."""

    def query(self, w: Point, state: State) -> Point:
        """W itself."""
        return w
