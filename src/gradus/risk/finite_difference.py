r"""What a derivative is, as differences of values.

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

from collections.abc import Callable
from numbers import Real
from typing import Any, overload

import torch
from torch import Tensor

from gradus.risk.gradient_check import GradientCheck, check_gradient
from gradus.risk.stencil import (
    Neighbourhood,
    ScalarFunction,
    Scheme,
    Valued,
    callable_of,
    estimated,
    first_difference,
    order_of,
    require_point,
    second_difference,
    value_like,
)

__all__ = [
    "GradientCheck",
    "check_gradient",
    "derivative",
    "gradient",
    "hessian",
    "second_derivative",
]


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
    return _of_one_variable(first_difference, 1, f, x, scheme, step, richardson)


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
    return _of_one_variable(second_difference, 2, f, x, scheme, step, richardson)


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
    point = Neighbourhood(f, w)

    def estimate(h: Tensor) -> Tensor:
        return first_difference(point.along_axes, point.centre, h, scheme)

    entries = estimated(estimate, point.entries, 1, scheme, step, richardson)
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
    point = Neighbourhood(f, w)
    forward = order_of(scheme) == 1

    def estimate(h: Tensor) -> Tensor:
        by = h.tolist()
        H = torch.diag(second_difference(point.along_axes, point.centre, h.double(), scheme))
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

    return estimated(estimate, point.entries, 2, scheme, step, richardson).to(w)


def _of_one_variable(
    difference: Callable[[Callable[[Tensor], Tensor], Tensor | float, Tensor, Scheme], Tensor],
    nth: int,
    f: Any,
    x: Any,
    scheme: Scheme,
    step: float | None,
    richardson: bool,
) -> float | Tensor:
    call = callable_of(f)
    if isinstance(x, Tensor):
        at = x.detach()
    elif isinstance(x, Real):
        at = torch.tensor(float(x), dtype=torch.float64)
    else:
        raise TypeError(f"x must be a number or a tensor, not {type(x).__name__}")
    require_point(at, "x")

    def values(points: Tensor) -> Tensor:
        value = value_like(call(points.clone() if isinstance(x, Tensor) else points.item()), at)
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
    result = estimated(estimate, at, nth, scheme, step, richardson)
    return result if isinstance(x, Tensor) else float(result)
