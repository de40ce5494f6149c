"""A ``torch.optim.Optimizer`` as a method: it moves w as any other does."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from gradus.errors import OwnCodeError, reason
from gradus.methods.method import Batch, Method, Oracle, Point
from gradus.risk.tensors import Tensors

Make = Callable[[Any], Optimizer]
"""Makes an optimizer of parameters, as its class does, or a partial of it."""


@dataclass(frozen=True)
class OptimizerMethod(Method):
    r"""What an optimizer does with the gradient of f at w, as a method.

    Its state is the ``state_dict`` of the optimizer. One that evaluates f again within a step by a
    closure, as LBFGS does, is given it.

    Args:
        make: the class of the optimizer, or a partial of it with its options.
        name: of it, for messages.
        groups: of each group the positions of its parameters, and its options; none: one group.

    Raises:
        OwnCodeError: it cannot be made so.

    Example:
        >>> import gradus, torch
        >>> from functools import partial
        >>> method = OptimizerMethod(partial(torch.optim.SGD, lr=0.1), "SGD")
        >>> gradus.minimize(lambda w: (w**2).sum(), torch.ones(1), method, steps=2).points
        tensor([[1.0000],
                [0.8000],
                [0.6400]])
    """

    make: Make
    name: str
    groups: Sequence[tuple[Sequence[int], Mapping[str, Any]]] = ()

    def __post_init__(self) -> None:
        self.lr  # noqa: B018  (what is wrong with the options is said before the run)

    @cached_property
    def lr(self) -> float:  # type: ignore[override]
        """The learning rate that it begins with; NaN where it has none."""
        return float(self._usual.get("lr", math.nan))

    @property
    def option_names(self) -> frozenset[str]:
        """What a group has options of."""
        return frozenset(self._usual) - {"params"}

    @cached_property
    def _usual(self) -> dict[str, Any]:
        return self._made([torch.zeros(1, requires_grad=True)]).param_groups[0]

    def build(self, parameters: Sequence[Tensor]) -> Optimizer:
        """An optimizer of these parameters.

        Raises:
            OwnCodeError: it cannot be made.
        """
        if not self.groups:
            return self._made(parameters)
        return self._made(
            [{"params": [parameters[at] for at in own], **options} for own, options in self.groups]
        )

    def _made(self, parameters: Sequence[Any]) -> Optimizer:
        """An optimizer of parameters, or groups of them.

        Raises:
            OwnCodeError: it cannot be made.
        """
        try:
            return self.make(parameters)
        except (TypeError, ValueError) as error:
            raise OwnCodeError(
                f"--method {self.name}: cannot be made: {reason(error)}; give its options by "
                "functools.partial"
            ) from error

    def init(self, w: Point) -> Any:
        """The state before the first step."""
        return self.build(leaves_of(w)).state_dict()

    def step(self, f: Oracle, w: Point, state: Any, batch: Batch = None) -> tuple[Point, Any]:
        """The next point and the next state, of an optimizer made for this step alone."""
        leaves = leaves_of(w)
        optimizer = self.build(leaves)
        optimizer.load_state_dict(copy.deepcopy(state))

        def closure() -> Tensor:
            at = [leaf.detach().clone() for leaf in leaves]
            value, g = f.value_and_gradient(like(w, at), batch)
            for leaf, part in zip(leaves, parts_of(g), strict=True):
                leaf.grad = part
            found: Tensor = value
            return found

        take(optimizer, closure, closure())
        after = like(w, [leaf.detach() for leaf in leaves])
        return after, copy.deepcopy(optimizer.state_dict())


def take(optimizer: Optimizer, closure: Callable[[], Tensor], value: Tensor) -> None:
    """Take the step of an optimizer whose gradients stand at its parameters.

    Args:
        optimizer: it.
        closure: evaluates f and its gradient where the parameters stand.
        value: of f there now: the first evaluation is not made again.
    """
    known = [value]

    def evaluate() -> Tensor:
        return known.pop() if known else closure()

    optimizer.step(evaluate)  # type: ignore[arg-type]  # torch gives tensors, and takes them


def leaves_of(w: Point) -> list[Tensor]:
    """Copies of a point that can be parameters of an optimizer."""
    return [part.detach().clone().requires_grad_() for part in parts_of(w)]


def parts_of(w: Point) -> Sequence[Tensor]:
    """The tensors of a point."""
    return w.values if isinstance(w, Tensors) else [w]


def like(w: Point, parts: Sequence[Tensor]) -> Point:
    """A point of the form of w."""
    return Tensors(tuple(parts)) if isinstance(w, Tensors) else parts[0]
