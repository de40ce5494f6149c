"""Methods around another: what they do to its gradient, or to where it leads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gradus.methods.method import FirstOrder, Method, Point
from gradus.methods.schedules import LearningRate


@dataclass(frozen=True)
class Wrapper(Method):
    """A method that takes any first-order method and is one: its learning rate is that within.

    Args:
        method: the method within.

    Raises:
        TypeError: it is not a first-order method.
    """

    method: FirstOrder

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, and the state of the method within."""

        step: int
        inner: Any

    def __post_init__(self) -> None:
        if not isinstance(self.method, FirstOrder):
            raise TypeError(f"method must be a first-order method, not {self.method!r}")

    @property
    def lr(self) -> LearningRate:  # type: ignore[override]  # read only, as all fields here
        """The learning rate of the method within."""
        return self.method.lr

    def init(self, w: Point) -> Any:
        """Step 0, and the beginning of the method within."""
        return self.State(0, self.method.init(w))


def within(method: Method) -> Method:
    """The method that others are around, or the method itself.

    Example:
        >>> from gradus.methods import SAM, Polyak
        >>> within(SAM(Polyak(0.1, 0.9))), within(Polyak(0.2, 0.9))
        (Polyak(lr=0.1, beta=0.9), Polyak(lr=0.2, beta=0.9))
    """
    while isinstance(method, Wrapper):
        method = method.method
    return method
