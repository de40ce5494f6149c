r"""What a derivative is, as differences of values; and whether a gradient agrees with them.

With $h$ the step, $p$ the order of the error in $h$, and $\varepsilon$ the spacing of the numbers
in which f is computed (``torch.finfo(dtype).eps``), a difference of the $m$-th derivative errs by
$O(h^p)$ for the terms of the Taylor series that it leaves out and by $O(\varepsilon |f| / h^m)$
for the rounding of the values that it subtracts. The two are equal, and their sum is least, at

$$h = \varepsilon^{1 / (m + p)} \max(|x|, 1), \qquad \text{error} = O(\varepsilon^{p / (m + p)}),$$

which is the step taken where none is given (twice that where the difference is extrapolated, for
it uses half the step too), made exactly representable as $(|x| + h) - |x|$:

| derivative | scheme  | extrapolated | error    | step, float64 | error, float64 | error, float32 |
|------------|---------|--------------|----------|---------------|----------------|----------------|
| first      | forward | no           | $O(h)$   | 1.5e-8        | 1.5e-8         | 3.5e-4         |
| first      | forward | yes          | $O(h^2)$ | 1.2e-5        | 3.7e-11        | 2.4e-5         |
| first      | central | no           | $O(h^2)$ | 6.1e-6        | 3.7e-11        | 2.4e-5         |
| first      | central | yes          | $O(h^4)$ | 1.5e-3        | 3.0e-13        | 2.9e-6         |
| second     | forward | no           | $O(h)$   | 6.1e-6        | 6.1e-6         | 4.9e-3         |
| second     | forward | yes          | $O(h^2)$ | 2.4e-4        | 1.5e-8         | 3.5e-4         |
| second     | central | no           | $O(h^2)$ | 1.2e-4        | 1.5e-8         | 3.5e-4         |
| second     | central | yes          | $O(h^4)$ | 4.9e-3        | 3.7e-11        | 2.4e-5         |

The errors are those of a function whose values and derivatives are of order 1; they grow with |f|.
In float32 few digits are left: compute in float64 what is to be judged.

Richardson's extrapolation takes the difference $D$ at $h$ and at $h / 2$ and cancels the leading
term of the error:

$$\frac{2^p D(h/2) - D(h)}{2^p - 1}.$$

Source: Nocedal and Wright, Numerical Optimization (2006), section 8.1; Press et al., Numerical
Recipes (2007), section 5.7; Richardson, The approximate arithmetical solution by finite
differences (1911).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, NamedTuple, Protocol, cast, final, overload

import torch
from torch import Tensor

Scheme = Literal["forward", "central"]


class Valued(Protocol):
    """Anything that has a value at w: a risk, a function as methods see it, a penalty."""

    def value(self, w: Tensor, /) -> Tensor:
        """f(w)."""


ScalarFunction = Callable[[Tensor], Tensor] | Callable[[Tensor], float] | Valued


@overload
def derivative(
    f: Callable[[float], float],
    x: float,
    *,
    scheme: Scheme = ...,
    step: float | None = ...,
    richardson: bool = ...,
) -> float: ...
@overload
def derivative(
    f: Callable[[Tensor], Tensor] | Valued,
    x: Tensor,
    *,
    scheme: Scheme = ...,
    step: float | None = ...,
    richardson: bool = ...,
) -> Tensor: ...
def derivative(
    f: Any,
    x: float | Tensor,
    *,
    scheme: Scheme = "central",
    step: float | None = None,
    richardson: bool = False,
) -> float | Tensor:
    r"""The first derivative of a function of one variable, at one point or at many.

    $$f'(x) \approx \frac{f(x + h) - f(x)}{h} \quad \text{(forward)}, \qquad
      f'(x) \approx \frac{f(x + h) - f(x - h)}{2 h} \quad \text{(central)}$$

    Args:
        f: of a number, a number; or of a tensor, the tensor of its values at each entry.
        x: the point, a number (f is computed in float64); or a tensor of any shape whose entries
            are points of their own (f is computed in its dtype).
        scheme: "forward" or "central".
        step: h, the same for all entries; from the arithmetic where it is not given.
        richardson: extrapolate from h and h / 2.

    Returns:
        A number, or a tensor of the shape and dtype of x.

    Raises:
        ValueError: x or a value of f is not finite, the values of f do not have the shape of x or
            are coarser than x, or the step is not positive or is lost beside x.
        TypeError: x or f(x) is not made of real floating-point numbers.

    Example:
        >>> import math
        >>> from gradus.risk.finite_difference import derivative
        >>> abs(derivative(math.sin, 1.0) - math.cos(1.0)) < 1e-10
        True
        >>> derivative(lambda x: x**3, torch.tensor([0.0, 1.0, 2.0]).double()).round(decimals=6)
        tensor([ 0.,  3., 12.], dtype=torch.float64)

    Source: Nocedal and Wright (2006), equations (8.1) and (8.7).
    """
    return _of_one_variable(_slope, 1, f, x, scheme, step, richardson)


@overload
def second_derivative(
    f: Callable[[float], float],
    x: float,
    *,
    scheme: Scheme = ...,
    step: float | None = ...,
    richardson: bool = ...,
) -> float: ...
@overload
def second_derivative(
    f: Callable[[Tensor], Tensor] | Valued,
    x: Tensor,
    *,
    scheme: Scheme = ...,
    step: float | None = ...,
    richardson: bool = ...,
) -> Tensor: ...
def second_derivative(
    f: Any,
    x: float | Tensor,
    *,
    scheme: Scheme = "central",
    step: float | None = None,
    richardson: bool = False,
) -> float | Tensor:
    r"""The second derivative of a function of one variable, at one point or at many.

    $$f''(x) \approx \frac{f(x + 2 h) - 2 f(x + h) + f(x)}{h^2} \quad \text{(forward)}, \qquad
      f''(x) \approx \frac{f(x + h) - 2 f(x) + f(x - h)}{h^2} \quad \text{(central)}$$

    Args:
        f: of a number, a number; or of a tensor, the tensor of its values at each entry.
        x: the point, a number (f is computed in float64); or a tensor of any shape whose entries
            are points of their own (f is computed in its dtype).
        scheme: "forward" or "central".
        step: h, the same for all entries; from the arithmetic where it is not given.
        richardson: extrapolate from h and h / 2.

    Returns:
        A number, or a tensor of the shape and dtype of x.

    Raises:
        ValueError: x or a value of f is not finite, the values of f do not have the shape of x or
            are coarser than x, or the step is not positive or is lost beside x.
        TypeError: x or f(x) is not made of real floating-point numbers.

    Example:
        >>> import math
        >>> from gradus.risk.finite_difference import second_derivative
        >>> abs(second_derivative(math.exp, 0.0) - 1) < 1e-7
        True

    Source: the forward difference taken twice, Nocedal and Wright (2006), section 8.1; Abramowitz
    and Stegun, Handbook of Mathematical Functions (1964), equation 25.3.23.
    """
    return _of_one_variable(_bend, 2, f, x, scheme, step, richardson)


def gradient(
    f: ScalarFunction,
    w: Tensor,
    *,
    scheme: Scheme = "central",
    step: float | None = None,
    richardson: bool = False,
) -> Tensor:
    r"""The gradient: the first derivative along each coordinate.

    $$\nabla f(w)_i \approx \frac{f(w + h_i e_i) - f(w)}{h_i} \quad \text{(forward)}, \qquad
      \nabla f(w)_i \approx \frac{f(w + h_i e_i) - f(w - h_i e_i)}{2 h_i} \quad \text{(central)}$$

    This evaluates f d + 1 times (forward) or 2 d + 1 times (central); extrapolated, 2 d + 1 or
    4 d + 1 times.

    Args:
        f: of a tensor, a scalar tensor or a number; or anything with such a ``value``, as an
            :class:`~gradus.EmpiricalRisk` or a penalty.
        w: the point, ``[d]``, or of any other shape that f takes; f is computed in its dtype.
        scheme: "forward" or "central".
        step: h, the same for all coordinates; from the arithmetic where it is not given.
        richardson: extrapolate from h and h / 2.

    Returns:
        ``[d]``, or a tensor of the shape of w; of its dtype.

    Raises:
        ValueError: w or a value of f is not finite, f(w) is not a scalar or is coarser than w, or
            the step is not positive or is lost beside w.
        TypeError: w or f(w) is not made of real floating-point numbers.

    Example:
        >>> import torch
        >>> from gradus.risk.finite_difference import gradient
        >>> w = torch.tensor([1.0, 2.0], dtype=torch.float64)
        >>> gradient(lambda w: w[0] ** 2 + 10 * w[1] ** 2, w).round(decimals=6)
        tensor([ 2., 40.], dtype=torch.float64)

    Source: Nocedal and Wright (2006), equations (8.1) and (8.7).
    """
    point = _Point(f, w)

    def estimate(h: Tensor) -> Tensor:
        return _slope(point.along_axes, point.centre, h, scheme)

    entries = _estimated(estimate, point.entries, 1, scheme, step, richardson)
    return entries.view(w.shape).to(w)


def hessian(
    f: ScalarFunction,
    w: Tensor,
    *,
    scheme: Scheme = "central",
    step: float | None = None,
    richardson: bool = False,
) -> Tensor:
    r"""The Hessian: the second derivatives along each pair of coordinates, from values alone.

    $$\nabla^2 f(w)_{ij} \approx \frac{f(w + h_i e_i + h_j e_j) - f(w + h_i e_i)
      - f(w + h_j e_j) + f(w)}{h_i h_j} \quad \text{(forward)}$$

    $$\nabla^2 f(w)_{ij} \approx \frac{f(w + h_i e_i + h_j e_j) - f(w + h_i e_i - h_j e_j)
      - f(w - h_i e_i + h_j e_j) + f(w - h_i e_i - h_j e_j)}{4 h_i h_j} \quad \text{(central)}$$

    and on the diagonal as :func:`second_derivative`. Each pair is evaluated once, so the result is
    symmetric to the bit. This evaluates f about $d^2 / 2$ times (forward) or $2 d^2$ times
    (central); extrapolated, twice as often.

    Args:
        f: of a tensor, a scalar tensor or a number; or anything with such a ``value``, as an
            :class:`~gradus.EmpiricalRisk` or a penalty.
        w: the point, of d entries in any shape that f takes; f is computed in its dtype.
        scheme: "forward" or "central".
        step: h, the same for all coordinates; from the arithmetic where it is not given.
        richardson: extrapolate from h and h / 2.

    Returns:
        ``[d, d]``, in the dtype of w.

    Raises:
        ValueError: w or a value of f is not finite, f(w) is not a scalar or is coarser than w, or
            the step is not positive or is lost beside w.
        TypeError: w or f(w) is not made of real floating-point numbers.

    Example:
        >>> import torch
        >>> from gradus.risk.finite_difference import hessian
        >>> w = torch.tensor([1.0, 2.0], dtype=torch.float64)
        >>> hessian(lambda w: w[0] ** 2 * w[1], w).round(decimals=5)
        tensor([[4., 2.],
                [2., 0.]], dtype=torch.float64)

    Source: Nocedal and Wright (2006), section 8.1, "Approximating the Hessian"; Abramowitz and
    Stegun (1964), equation 25.3.26.
    """
    point = _Point(f, w)
    forward = _order(scheme) == 1

    def estimate(h: Tensor) -> Tensor:
        by = h.tolist()
        H = torch.diag(_bend(point.along_axes, point.centre, h.double(), scheme))
        ahead = point.along_axes(h).tolist() if forward else []
        for i in range(len(by)):
            for j in range(i):
                both = point.value((i, by[i]), (j, by[j]))
                if forward:
                    corners = both - ahead[i] - ahead[j] + point.centre
                else:
                    corners = both + point.value((i, -by[i]), (j, -by[j]))
                    corners -= point.value((i, by[i]), (j, -by[j]))
                    corners -= point.value((i, -by[i]), (j, by[j]))
                    corners /= 4
                H[i, j] = H[j, i] = corners / (by[i] * by[j])
        return H

    return _estimated(estimate, point.entries, 2, scheme, step, richardson).to(w)


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
        kink: whether f has a kink there, at which no gradient exists.
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
            verdict = "f has a kink here and no gradient"
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
    $\tau$ unless it is given: 2.2e-6 in float64, 6.9e-3 in float32. So at zero coordinates an
    absolute error of $16 a \max(|f|, 1)$ is granted (4.8e-12 or 4.7e-5 at |f| = 1), for rounding
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
        >>> from gradus.risk.finite_difference import check_gradient
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
    point = _Point(f, w)
    if (again := point.value()) != point.centre:
        raise ValueError(f"f is not deterministic: at w it gave {point.centre} and then {again}")
    analytic = _analytic(f, w, gradient)

    eps = torch.finfo(w.dtype).eps
    usual = _size(eps, 1, 4)
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
    """What differences tell at some coordinates, each a tensor with an entry for each of them."""

    error: Tensor  # relative, of the gradient
    numeric: Tensor
    kink: Tensor
    bent: Tensor  # whether the shape of f within the step may explain the error


def _look(
    point: _Point, analytic: Tensor, at: Tensor, size: float, step: float | None, own: float
) -> _Look:
    x, g, centre = point.entries[at], analytic[at], point.centre
    nominal = _nominal(x, size, step)
    h, half = _exact(x, nominal), _exact(x, nominal / 2)
    values = [point.along_axes(offsets, at) for offsets in (h, -h, half, -half)]
    far_up, far_down, up, down = values
    h, half = h.double(), half.double()

    wide, narrow = (far_up - far_down) / (2 * h), (up - down) / (2 * half)
    numeric = _extrapolated(wide, narrow, 2)
    # By how much the slope changes at w: to the right less to the left, for a step towards 0.
    jump = _extrapolated(
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
        g = _by_autograd(_callable(f), w)
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


class _Point:
    """A scalar function around a point w, whose d entries are moved one by one or in pairs."""

    def __init__(self, f: ScalarFunction, w: Tensor) -> None:
        if not isinstance(w, Tensor):
            raise TypeError(f"w must be a tensor, not {type(w).__name__}")
        _require_point(w, "w")
        self._call = _callable(f)
        self._w = w.detach()
        self.entries = self._w.reshape(-1).cpu()
        self.centre = self.value()

    def value(self, *moves: tuple[int, float]) -> float:
        """The value at w, with each coordinate i moved by its offset."""
        entries = self.entries.clone()
        for i, offset in moves:
            entries[i] += offset
        value = _value_like(self._call(entries.view(self._w.shape).to(self._w.device)), self._w)
        if value.dim() != 0:
            raise ValueError(f"f must return one number, but f(w) has shape {tuple(value.shape)}")
        number = float(value)
        if not math.isfinite(number):
            moved = " and ".join(f"{offset:+.2g} at entry {i}" for i, offset in moves)
            where = f"w moved by {moved}; a smaller step may help" if moves else "w"
            raise ValueError(f"f must be finite around w, but it is {number} at {where}")
        return number

    def along_axes(self, offsets: Tensor, coordinates: Tensor | None = None) -> Tensor:
        """The values with one coordinate moved, for each of these coordinates (all): float64."""
        at = range(len(offsets)) if coordinates is None else coordinates.tolist()
        moves = zip(at, offsets.tolist(), strict=True)
        return torch.tensor([self.value(move) for move in moves], dtype=torch.float64)


def _of_one_variable(
    difference: Callable[[Callable[[Tensor], Tensor], Tensor | float, Tensor, Scheme], Tensor],
    nth: int,
    f: Any,
    x: Any,
    scheme: Scheme,
    step: float | None,
    richardson: bool,
) -> float | Tensor:
    call = _callable(f)
    if isinstance(x, Tensor):
        at = x.detach()
    elif isinstance(x, Real):
        at = torch.tensor(float(x), dtype=torch.float64)
    else:
        raise TypeError(f"x must be a number or a tensor, not {type(x).__name__}")
    _require_point(at, "x")

    def values(points: Tensor) -> Tensor:
        value = _value_like(call(points.clone() if isinstance(x, Tensor) else points.item()), at)
        if value.shape != at.shape:
            raise ValueError(
                f"f must act on each entry of x, but f(x) has shape {tuple(value.shape)} "
                f"and x {tuple(at.shape)}"
            )
        if not (finite := value.isfinite()).all():
            worst = points[~finite][0].item()
            raise ValueError(f"f must be finite around x, but f({worst:.9g}) is not")
        return value

    def estimate(h: Tensor) -> Tensor:
        return difference(lambda offsets: values(at + offsets), centre, h, scheme)

    centre = values(at)
    result = _estimated(estimate, at, nth, scheme, step, richardson)
    return result if isinstance(x, Tensor) else float(result)


def _slope(
    along: Callable[[Tensor], Tensor], centre: Tensor | float, h: Tensor, scheme: Scheme
) -> Tensor:
    if _order(scheme) == 1:
        return (along(h) - centre) / h
    return (along(h) - along(-h)) / (2 * h)


def _bend(
    along: Callable[[Tensor], Tensor], centre: Tensor | float, h: Tensor, scheme: Scheme
) -> Tensor:
    if _order(scheme) == 1:
        return (along(2 * h) - 2 * along(h) + centre) / (h * h)
    return (along(h) - 2 * centre + along(-h)) / (h * h)


def _estimated(
    estimate: Callable[[Tensor], Tensor],
    x: Tensor,
    nth: int,
    scheme: Scheme,
    step: float | None,
    richardson: bool,
) -> Tensor:
    """The estimate of the nth derivative at its step, or extrapolated from it and its half."""
    order = _order(scheme)
    eps = torch.finfo(x.dtype).eps
    if not richardson:
        return estimate(_exact(x, _nominal(x, _size(eps, nth, order), step)))
    nominal = _nominal(x, 2 * _size(eps, nth, 2 * order), step)
    wide, narrow = (estimate(_exact(x, h)) for h in (nominal, nominal / 2))
    return _extrapolated(wide, narrow, order)


def _extrapolated(wide: Tensor, narrow: Tensor, order: int) -> Tensor:
    """What estimates at h and at h / 2, with errors of order ``order``, tend to."""
    gain = float(2**order)
    return (gain * narrow - wide) / (gain - 1)


def _order(scheme: Scheme) -> int:
    orders = {"forward": 1, "central": 2}
    if scheme not in orders:
        raise ValueError(f'scheme must be "forward" or "central", not {scheme!r}')
    return orders[scheme]


def _size(eps: float, nth: int, order: int) -> float:
    """The step at which the terms left out and the rounding are equal, for x of order 1."""
    return float(eps ** (1 / (nth + order)))


def _nominal(x: Tensor, size: float, step: float | None) -> Tensor:
    if step is None:
        return size * x.abs().clamp(min=1)
    if not 0 < step < math.inf:
        raise ValueError(f"step must be a positive number, not {step}")
    return torch.full_like(x, step)


def _exact(x: Tensor, nominal: Tensor) -> Tensor:
    """The step as it is once it has been added to x and rounded."""
    h = (x.abs() + nominal) - x.abs()
    if (lost := ~((h > 0) & h.isfinite())).any():
        raise ValueError(
            f"a step of {nominal[lost][0].item():.2g} is lost beside {x[lost][0].item():.9g} "
            f"in {x.dtype}; give a larger one"
        )
    return h


def _callable(f: Any) -> Callable[[Any], Any]:
    call = getattr(f, "value", f)
    if not callable(call):
        raise TypeError(f"f must be a function or have a method value, not {type(f).__name__}")
    return cast(Callable[[Any], Any], call)


def _require_point(x: Tensor, name: str) -> None:
    if not x.is_floating_point():
        raise TypeError(f"{name} must be of real floating-point numbers, not {x.dtype}")
    if not x.numel():
        raise ValueError(f"{name} has no entries: there is nothing to differentiate by")
    if not (finite := x.isfinite()).all():
        position = finite.logical_not().nonzero()[0].tolist()
        raise ValueError(f"{name} must be finite, but is {x[tuple(position)].item()} at {position}")


def _value_like(value: Any, x: Tensor) -> Tensor:
    """What f returned, in the dtype of x, in which its differences are then taken."""
    if isinstance(value, Real):
        return torch.tensor(float(value), dtype=x.dtype)
    if not isinstance(value, Tensor):
        raise TypeError(f"f must return a tensor or a number, not {type(value).__name__}")
    if value.is_complex():
        raise TypeError(f"f must return real numbers, not {value.dtype}")
    if value.is_floating_point() and torch.finfo(value.dtype).eps > torch.finfo(x.dtype).eps:
        raise ValueError(
            f"f returns {value.dtype} at a point of {x.dtype}: the differences would be lost in "
            "its rounding; compute f in the dtype of the point"
        )
    return value.detach().to(x.dtype)
