"""The form of a method: an equation that moves w."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from gradus.methods.schedules import LearningRate
from gradus.risk.penalties import Penalty

if TYPE_CHECKING:
    from torch import Tensor

# A point is a tensor [d] or [K, d], or gradus.risk.tensors.Tensors: whatever adds and scales.
Point = Any
Batch = Any
State = Any


class Oracle(Protocol):
    """What a method sees of what it minimises; a method uses only what its equation needs.

    ``w`` and ``v`` are points; a ``batch`` of None means the whole of f.
    """

    def value(self, w: Point, batch: Batch = None) -> Any:
        """f(w)."""

    def gradient(self, w: Point, batch: Batch = None) -> Point:
        """The gradient of f at w."""

    def value_and_gradient(self, w: Point, batch: Batch = None) -> tuple[Any, Point]:
        """f(w) and its gradient, from one evaluation."""

    def hvp(self, w: Point, v: Point, batch: Batch = None) -> Point:
        """The Hessian of f at w, times v."""

    def hessian(self, w: Point, batch: Batch = None) -> Tensor:
        """The Hessian of f at w, ``[d, d]``."""

    def gauss_newton(self, w: Point, batch: Batch = None) -> Tensor:
        """The Gauss-Newton matrix of f at w, ``[d, d]``, where f has one."""

    @property
    def smooth(self) -> Oracle:
        """The same f without its penalty."""

    @property
    def penalty(self) -> Penalty | None:
        """The penalty of f."""


class Method(ABC):
    r"""A method moves w by one step: $(w_t, s_t) \mapsto (w_{t+1}, s_{t+1})$.

    Methods are values (frozen dataclasses of hyper-parameters) and pure: ``step`` returns the new
    point and the new state, and changes nothing. A point is anything that adds and scales as
    vectors do: a tensor ``[d]``, a tensor ``[K, d]`` of K runs (hyper-parameters ``[K, 1]``), or
    the parameters of a module as :class:`~gradus.risk.tensors.Tensors`. A state is any value; those
    of the methods of Gradus carry ``step``, the number of updates so far.
    """

    lr: LearningRate

    repeats: ClassVar[bool] = False
    """Whether a step evaluates f more than once: what is random in it is then drawn once a step."""

    asks_layout: ClassVar[bool] = False
    """Whether ``init`` takes the layers of w beside w (:class:`~gradus.methods.layout.Layout`)."""

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
