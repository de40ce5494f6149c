"""Does a gradient agree with differences of values, and where is it farthest from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from gradus.risk.stencil import (
    Neighbourhood,
    ScalarFunction,
    best_step,
    callable_of,
    extrapolated,
    intended,
    representable,
    require_step,
)


@final
@dataclass(frozen=True)
class GradientCheck:
    """How far a gradient is from differences of values, at the coordinate where it is farthest.

    It is true where the check passed, and prints as its verdict.

    Attributes:
        largest_relative_error: the largest over all coordinates.
        coordinate: where it is: an index into w if w is ``[d]``, else a tuple of indices.
        analytic: the entry of the gradient there.
        numeric: the entry by differences there; at a kink, the slope to the side on which the
            gradient is farther off.
        tolerance: up to which relative error the check passes.
        kink: whether f seems to have a kink there, at which no gradient exists; differences cannot
            tell it from a function that bends much within the step.
    """

    largest_relative_error: float
    coordinate: int | tuple[int, ...]
    analytic: float
    numeric: float
    tolerance: float
    kink: bool = False

    @property
    def passed(self) -> bool:
        """Whether the largest relative error is within the tolerance."""
        return self.largest_relative_error <= self.tolerance

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        if self.passed:
            verdict = "the gradient agrees with differences"
        elif self.kink:
            verdict = "f seems to have a kink here, or bends within the step; give a smaller step="
        else:
            verdict = "the gradient disagrees with differences"
        index = self.coordinate if isinstance(self.coordinate, tuple) else (self.coordinate,)
        where = f"w[{', '.join(map(str, index))}]" if index else "w"
        slope = "the slope to one side" if self.kink else "by differences"
        return (
            f"{verdict}: largest relative error {self.largest_relative_error:.2g} "
            f"(tolerance {self.tolerance:.2g})\n"
            f"at {where}: gradient {self.analytic:.7g}, {slope} {self.numeric:.7g}"
        )


def check_gradient(
    f: ScalarFunction,
    w: Tensor,
    gradient: Callable[[Tensor], Tensor] | Tensor | None = None,
    *,
    tolerance: float | None = None,
    step: float | None = None,
) -> GradientCheck:
    r"""Compare a gradient with central differences, coordinate by coordinate.

    The differences are extrapolated; at step $h = \varepsilon^{1/5} \max(|w_i|, 1)$ they are
    accurate to $a = \varepsilon^{4/5}$ of a function of order 1. With $g$ the gradient and $D$ the
    differences, the error at a coordinate is relative to the larger of the two, but where both are
    small, to what differences can still tell from 0:

    $$\frac{|g_i - D_i|}{\max(|g_i|, |D_i|, s)}, \qquad
      s = \tau \max(|f|, 1), \qquad \tau = 4 \sqrt{a},$$

    with |f| the largest of the values that are subtracted ($s$ also grows with
    $\varepsilon |w_i f''|$, as w itself is rounded). It must not exceed the tolerance,
    $\tau$ unless it is given: 2.2e-6 in float64, 6.8e-3 in float32. So at zero coordinates an
    absolute error of $16 a \max(|f|, 1)$ is granted (4.8e-12 or 4.6e-5 at |f| = 1), for rounding
    within f. A gradient smaller than that is not told from 0: f should be scaled to order 1, and
    computed in float64.

    Where f bends so much within the step that differences cannot be trusted there (a network of
    rectifiers has kinks all about), the coordinate is looked at again with the step
    $\varepsilon^{2/5} \max(|w_i|, 1)$, hence with an $s$ larger in the ratio of rounding. A kink
    that is found there too counts as one at w, and fails whichever subgradient is given: the
    gradient cannot agree with the slopes to both sides. In float32 these steps are so long that
    such a network seldom passes: check it in float64.

    f is evaluated about 4 d times, in the dtype of w.

    Args:
        f: of a tensor, a scalar tensor or a number; or anything with such a ``value``, as an
            :class:`~gradus.EmpiricalRisk` or a penalty.
        w: the point, ``[d]`` or of any other shape that f takes.
        gradient: a function of w, or its value at w; where it is not given, the ``gradient`` of f
            if f has one, else that of automatic differentiation.
        tolerance: the largest relative error that passes.
        step: h, the same for all coordinates, with $a = \max(h^4, \varepsilon / h)$; no coordinate
            is then looked at with another.

    Returns:
        The verdict: true where the check passed.

    Raises:
        ValueError: f is not deterministic, w or a value of f is not finite, f(w) is not a scalar or
            is coarser than w, the gradient does not have the shape of w, automatic differentiation
            cannot follow f, or the tolerance or the step is not positive.
        TypeError: w or f(w) is not made of real floating-point numbers.

    Example:
        >>> import torch
        >>> from gradus.risk.gradient_check import check_gradient
        >>> w = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
        >>> bool(check_gradient(lambda w: (w**2).sum(), w))
        True
        >>> print(check_gradient(lambda w: (w**2).sum(), w, lambda w: w * torch.tensor([2, 2, -2])))
        the gradient disagrees with differences: largest relative error 2 (tolerance 2.2e-06)
        at w[2]: gradient -6, by differences 6

    Source: Nocedal and Wright (2006), section 8.1; Richardson (1911); the relative error with a
    scale: Dennis and Schnabel, Numerical Methods for Unconstrained Optimization (1983), section
    7.1.
    """
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise ValueError(f"tolerance must be a positive number, not {tolerance}")
    if step is not None:
        require_step(step)
    point = Neighbourhood(f, w)
    if (again := point.value()) != point.centre:
        raise ValueError(f"f is not deterministic: at w it gave {point.centre} and then {again}")
    analytic = _analytic(f, w, gradient)

    eps = torch.finfo(w.dtype).eps
    usual = best_step(eps, 1, 4)
    own = 4 * math.sqrt(_accuracy(step or usual, eps))
    accepted = own if tolerance is None else tolerance
    everywhere = torch.arange(len(analytic))
    seen = _look(point, analytic, everywhere, usual, step, own)
    doubtful = seen.kink | ((seen.error > accepted) & seen.bent)
    if step is None and doubtful.any():
        closer = _look(point, analytic, everywhere[doubtful], usual**2, None, own)
        better = closer.kink | (closer.error < seen.error[doubtful]) | seen.kink[doubtful]
        at = everywhere[doubtful][better]
        seen.error[at], seen.numeric[at] = closer.error[better], closer.numeric[better]
        seen.kink[at] = closer.kink[better]
    worst = int(seen.error.argmax())
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(worst), w.shape))
    return GradientCheck(
        largest_relative_error=float(seen.error[worst]),
        coordinate=index[0] if len(index) == 1 else index,
        analytic=float(analytic[worst]),
        numeric=float(seen.numeric[worst]),
        tolerance=accepted,
        kink=bool(seen.kink[worst]),
    )


class _Look(NamedTuple):
    """Estimates by differences at some coordinates, each a tensor with one entry a coordinate."""

    error: Tensor  # relative, of the gradient
    numeric: Tensor
    kink: Tensor
    bent: Tensor  # whether the shape of f within the step may explain the error


def _look(
    point: Neighbourhood, analytic: Tensor, at: Tensor, size: float, step: float | None, own: float
) -> _Look:
    x, g, centre = point.entries[at], analytic[at], point.centre
    nominal = intended(x, size, step)
    h, half = representable(x, nominal), representable(x, nominal / 2)
    values = [point.along_axes(offsets, at) for offsets in (h, -h, half, -half)]
    far_up, far_down, up, down = values
    h, half = h.double(), half.double()

    wide, narrow = (far_up - far_down) / (2 * h), (up - down) / (2 * half)
    numeric = extrapolated(wide, narrow, 2)
    # By how much the slope changes at w: to the right less to the left, for a step towards 0.
    jump = extrapolated(
        (far_up - 2 * centre + far_down) / h, (up - 2 * centre + down) / half, order=1
    )
    magnitude = torch.stack(values).abs().amax(0).clamp(min=max(abs(centre), 1))
    eps = torch.finfo(x.dtype).eps
    # w, too, is rounded, which a steep slope of the gradient shows.
    curvature = ((far_up - 2 * centre + far_down) / (h * h)).abs()
    rounding = _accuracy(step or size, eps) * magnitude + eps * x.abs().clamp(min=1) * curvature
    scale = 16 * rounding / own

    kink = jump.abs() > math.sqrt(own) * torch.maximum(scale, g.abs().maximum(numeric.abs()))
    # Of one kink within the step the error is at most this sum; there may be several.
    bent = (g - numeric).abs() <= 4 * ((narrow - wide).abs() + jump.abs())
    right, left = (up - centre) / half, (centre - down) / half
    farther = torch.where((g - right).abs() >= (g - left).abs(), right, left)
    numeric = torch.where(kink, farther, numeric)
    error = (g - numeric).abs() / torch.maximum(scale, g.abs().maximum(numeric.abs()))
    # A gradient that is not finite is infinitely wrong.
    return _Look(error.nan_to_num(nan=math.inf), numeric, kink, bent)


def _accuracy(size: float, eps: float) -> float:
    """Of an extrapolated central difference: terms left out, or rounding, at this step."""
    return max(size**4, eps / size)


def _analytic(
    f: ScalarFunction, w: Tensor, gradient: Callable[[Tensor], Tensor] | Tensor | None
) -> Tensor:
    """The gradient to be checked, flat and in float64."""
    if gradient is None:
        gradient = getattr(f, "gradient", None)
    if gradient is None:
        g = _by_autograd(callable_of(f), w)
    else:
        g = gradient if isinstance(gradient, Tensor) else gradient(w.detach().clone())
    if not isinstance(g, Tensor) or g.shape != w.shape:
        given = f"shape {tuple(g.shape)}" if isinstance(g, Tensor) else repr(g)
        raise ValueError(f"the gradient must have the shape of w, {tuple(w.shape)}, not {given}")
    return g.detach().reshape(-1).to("cpu", torch.float64)


def _by_autograd(call: Callable[[Tensor], Any], w: Tensor) -> Tensor:
    leaf = w.detach().clone().requires_grad_()
    with torch.enable_grad():
        value = call(leaf)
        if not (isinstance(value, Tensor) and value.requires_grad):
            raise ValueError("automatic differentiation cannot follow f: give its gradient")
        return torch.autograd.grad(value, leaf, materialize_grads=True)[0]
