"""Methods around another: what they do to its gradient, or to where it leads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from gradus.methods.layout import Layout, begun
from gradus.methods.method import FirstOrder, Method, Point
from gradus.methods.schedules import LearningRate

Within = TypeVar("Within", bound=Method)


@dataclass(frozen=True)
class Wrapper(Method, Generic[Within]):
    """A method that takes another and is one: its learning rate is that within.

    Args:
        method: the method within.

    Raises:
        TypeError: it is not a method of the kind that is taken.
    """

    method: Within

    takes: ClassVar[Any] = FirstOrder
    """The kind of method that it takes."""

    asks_layout = True

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, and the state of the method within."""

        step: int
        inner: Any

    def __post_init__(self) -> None:
        if not isinstance(self.method, self.takes):
            kind = "first-order method" if self.takes is FirstOrder else "method"
            raise TypeError(f"method must be a {kind}, not {self.method!r}")

    @property
    def lr(self) -> LearningRate:  # type: ignore[override]  # read only, as all fields here
        """The learning rate of the method within."""
        return self.method.lr

    def init(self, w: Point, layout: Layout | None = None) -> Any:
        """Step 0, and the beginning of the method within."""
        return self.State(0, begun(self.method, w, layout))


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
