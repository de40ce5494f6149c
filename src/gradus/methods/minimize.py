"""Where a method goes: minimising any function or risk, with the whole path kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from gradus.methods.layout import Layout, begun
from gradus.methods.method import Method, Oracle
from gradus.notebook import in_notebook
from gradus.risk.empirical import EmpiricalRisk
from gradus.risk.function import Function
from gradus.risk.penalties import Penalty


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The path of a method.

    Attributes:
        points: ``[steps + 1, d]``, the start first (``[steps + 1, *w0.shape]`` in general).
        values: ``[steps + 1]``, f at each point (on the whole data, if f is a risk).
    """

    points: Tensor
    values: Tensor

    def _repr_html_(self) -> str:
        return in_notebook(self)

    def __len__(self) -> int:
        return len(self.points)


def minimize(
    f: Oracle | Callable[..., Tensor],
    w0: Tensor,
    method: Method,
    *,
    steps: int,
    batches: Iterable[Any] | None = None,
    penalty: Penalty | None = None,
) -> Trajectory:
    """Take steps from w0 by the method, and keep every point.

    This is the pure equation on a flat vector: the ground truth that every faster engine is
    checked against. Nothing is stopped early: a path that diverges is returned as it is. Where f
    does not depend on w, or on some entries of it, its gradient is 0 and they stay.

    Args:
        f: an :class:`~gradus.EmpiricalRisk`, or any callable of a tensor that returns a scalar
            tensor (called as ``f(w, batch)`` where batches are given).
        w0: the start, ``[d]``; it is not changed.
        method: any :class:`~gradus.methods.Method`.
        steps: how many steps to take.
        batches: the batch of each step (see :class:`~gradus.data.Sampling`); without it every
            step sees the whole of f.
        penalty: added to a callable f; a risk has its own.

    Returns:
        The points and the values of f there, with no batch: the risk on the whole data.

    Raises:
        TypeError: w0 is no tensor of real floating point numbers, or the method is no method.
        ValueError: fewer batches than steps, f is not a scalar, or a penalty is given beside a
            risk; f changes with w, but automatic differentiation cannot see how.

    Example:
        >>> import torch, gradus
        >>> path = gradus.minimize(
        ...     lambda w: w[0] ** 2 + 10 * w[1] ** 2,
        ...     torch.tensor([1.0, 1.0]),
        ...     gradus.methods.Polyak(lr=0.04, beta=0.5),
        ...     steps=100,
        ... )
        >>> path.values[-1] < 1e-4
        tensor(True)
    """
    if not isinstance(steps, int):
        raise TypeError(f"steps must be a whole number, not {steps!r}")
    if steps < 0:
        raise ValueError(f"steps must be 0 or more, not {steps}")
    if not isinstance(method, Method):
        raise TypeError(f"method must be a method, such as gradus.methods.LBFGS(), not {method!r}")
    if not isinstance(w0, Tensor) or not (w0.is_floating_point() or w0.is_complex()):
        given = w0.dtype if isinstance(w0, Tensor) else type(w0).__name__
        raise TypeError(f"w0 must be a tensor of floating point numbers, not {given}")
    if w0.is_complex():
        raise TypeError(
            "w0 is complex, and methods move real numbers: give torch.view_as_real(w0).flatten(), "
            "and an f that takes torch.view_as_complex(w.view(-1, 2))"
        )
    oracle: Oracle
    if hasattr(f, "gradient"):
        if penalty is not None:
            raise ValueError("f has a gradient of its own: give the penalty to f, not to minimize")
        oracle = f  # type: ignore[assignment]
    else:
        oracle = Function(f, penalty)
    source = repeat(None) if batches is None else iter(batches)
    layout = Layout.of_model(f.model) if isinstance(f, EmpiricalRisk) else None
    w, state = w0, begun(method, w0, layout)
    points, values = [w], [oracle.value(w)]
    for taken in range(steps):
        try:
            batch = next(source)
        except StopIteration:
            raise ValueError(f"the batches ran out after {taken} of {steps} steps") from None
        w, state = method.step(oracle, w, state, batch)
        points.append(w)
        values.append(oracle.value(w))
    return Trajectory(torch.stack(points), torch.stack(values))
