r"""How far a step goes along its direction: searches for $\alpha$ that always end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from gradus.methods.hyperparameters import Number
from gradus.methods.method import Batch, Oracle, Point
from gradus.methods.second_order import dot
from gradus.risk.precision import narrow

Search = Literal["backtracking", "strong-wolfe"]

# How much of its value f may be off by the rounding of its own arithmetic, in units of the last
# place: what lies within cannot be told from a decrease.
ROUNDING = 4


@dataclass(frozen=True, eq=False)
class Trial:
    r"""One point of a line: $\varphi(\alpha) = f(w + \alpha p)$.

    Attributes:
        alpha: $\alpha$.
        value: $\varphi(\alpha)$.
        slope: $\varphi'(\alpha) = \nabla f(w + \alpha p)^T p$, NaN where it was not asked for.
        point: $w + \alpha p$.
        gradient: $\nabla f(w + \alpha p)$, None where it was not asked for.
    """

    alpha: float
    value: float = math.nan
    slope: float = math.nan
    point: Point = None
    gradient: Point = None


Line = Callable[[Any], Trial]


def backtracking(
    phi: Line,
    start: Trial,
    alpha: float,
    *,
    c1: float = 1e-4,
    shrink: float = 0.5,
    rounding: float = 0.0,
    evaluations: int = 40,
) -> Trial:
    r"""Shorten $\alpha$ until f decreases enough (Armijo's condition).

    $$\varphi(\alpha) \le \varphi(0) + c_1 \alpha \varphi'(0)$$

    A value that is not finite shortens the step to a tenth.

    Args:
        phi: gives the trial at $\alpha$; its slope is not used.
        start: the trial at 0, with its slope.
        alpha: the first $\alpha$ to try, the longest.
        c1: $c_1 \in (0, 1)$.
        shrink: what $\alpha$ is multiplied by.
        rounding: by how much the condition may be missed, as values of f are rounded.
        evaluations: the most trials.

    Returns:
        The first trial that meets the condition; ``start``, so that nothing moves, where the slope
        at 0 is not negative or none of the trials meets it.

    Example:
        >>> from gradus.methods.line_search import Trial, backtracking
        >>> start = Trial(0.0, value=1.0, slope=-2.0)
        >>> backtracking(lambda a: Trial(a, (1 - a) ** 2), start, 3.0).alpha
        1.5

    Source: Armijo (1966); Nocedal, Wright (2006), "Numerical Optimization", algorithm 3.1.
    """
    if not (start.slope < 0 and alpha > 0):
        return start
    for _ in range(evaluations):
        trial = phi(alpha)
        if _decreases(trial, start, c1, rounding):
            return trial
        alpha *= shrink if math.isfinite(trial.value) else 0.1
    return start


def strong_wolfe(
    phi: Line,
    start: Trial,
    alpha: float,
    *,
    c1: float = 1e-4,
    c2: float = 0.9,
    rounding: float = 0.0,
    evaluations: int = 25,
) -> Trial:
    r"""Find an $\alpha$ where f has decreased enough and its slope has flattened (strong Wolfe).

    $$\varphi(\alpha) \le \varphi(0) + c_1 \alpha \varphi'(0), \qquad
      |\varphi'(\alpha)| \le c_2 |\varphi'(0)|$$

    The step grows, two- to tenfold, until such a point is passed; then the interval that holds one
    shrinks around the minimum of the cubic through both its ends, kept a tenth of the interval away
    from them. Where the value or the slope is not finite, the step is too long: a tenth of the
    interval is tried next.

    Args:
        phi: gives the trial at $\alpha$ with its slope.
        start: the trial at 0, with its slope.
        alpha: the first $\alpha$ to try.
        c1: $c_1 \in (0, 1)$.
        c2: $c_2 \in (c_1, 1)$.
        rounding: by how much the first condition may be missed, as values of f are rounded.
        evaluations: the most trials.

    Returns:
        The first trial that meets both conditions; where the trials run out, or there is no number
        left between two of them, the lowest that meets the first; ``start``, so that nothing moves,
        where the slope at 0 is not negative or none of the trials meets the first.

    Example:
        >>> from gradus.methods.line_search import Trial, strong_wolfe
        >>> phi = lambda a: Trial(a, (1 - a) ** 2, 2 * (a - 1))
        >>> round(strong_wolfe(phi, phi(0.0), 0.01, c2=0.1).alpha, 6)
        1.0

    Source: Nocedal, Wright (2006), "Numerical Optimization", algorithms 3.5 and 3.6, equation
        (3.59).
    """
    if not (start.slope < 0 and alpha > 0):
        return start
    low, previous, high = start, start, None
    for _ in range(evaluations):
        trial = phi(alpha)
        climbs = low is not start and trial.value > low.value + rounding
        if climbs or not _decreases(trial, start, c1, rounding) or not math.isfinite(trial.slope):
            high = trial
        elif abs(trial.slope) <= -c2 * start.slope:
            return trial
        else:
            ahead = 1.0 if high is None else high.alpha - low.alpha
            if trial.slope * ahead >= 0:
                high = low
            previous, low = low, trial
        alpha = _longer(previous, low) if high is None else _between(low, high)
        if high is not None and alpha in (low.alpha, high.alpha):
            break
    return low


def _decreases(trial: Trial, start: Trial, c1: float, rounding: float) -> bool:
    """Armijo's condition, which no value that is not finite meets, nor one that is not lower."""
    bound = start.value + c1 * trial.alpha * start.slope
    bound = min(bound, math.nextafter(start.value, -math.inf)) + rounding
    return math.isfinite(trial.value) and trial.value <= bound


def _longer(previous: Trial, low: Trial) -> float:
    """Where the cubic through two trials has its minimum, but at 2 to 10 times the last step."""
    alpha = low.alpha
    minimum = _cubic_minimum(previous, low)
    return 2 * alpha if math.isnan(minimum) else min(max(minimum, 2 * alpha), 10 * alpha)


def _between(low: Trial, high: Trial) -> float:
    """Where the cubic through both ends has its minimum, but a tenth away from the ends."""
    start, width = low.alpha, high.alpha - low.alpha
    if not (math.isfinite(high.value) and math.isfinite(high.slope)):
        return start + 0.1 * width
    fraction = (_cubic_minimum(low, high) - start) / width
    return start + width * (0.5 if math.isnan(fraction) else min(max(fraction, 0.1), 0.9))


def _cubic_minimum(a: Trial, b: Trial) -> float:
    """Where the cubic with the values and slopes of both has its minimum; NaN without one."""
    width = b.alpha - a.alpha
    d1 = a.slope + b.slope - 3 * (b.value - a.value) / width
    discriminant = d1 * d1 - a.slope * b.slope
    if not discriminant >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(discriminant), width)
    divisor = b.slope - a.slope + 2 * d2
    return b.alpha - width * (b.slope + d2 - d1) / divisor if divisor else math.nan


def require_line_search(line_search: object) -> None:
    """Refuse what names no line search."""
    if line_search is not None and line_search not in get_args(Search):
        accepted = ", ".join(map(repr, get_args(Search)))
        raise ValueError(f"line_search must be None or one of {accepted}, not {line_search!r}")


def step_along(
    line_search: Search | None,
    f: Oracle,
    w: Point,
    p: Point,
    alpha: Number,
    batch: Batch,
    value: Tensor,
    g: Point,
) -> Trial:
    r"""Where the step from w along p ends.

    Args:
        line_search: which one; None takes the whole step.
        f: what is minimised.
        w: where the step starts.
        p: its direction, of w's form.
        alpha: the step, or the first that a search tries.
        batch: what f is evaluated on.
        value: f(w).
        g: the gradient at w.

    Returns:
        The trial at its end; at w itself, with alpha 0, where the search finds no lower point; the
        whole step where the slope is not finite, so that this shows in the point. What is
        differentiated through it takes the alpha that a search has found for a constant.
    """
    longest = float(alpha.detach() if isinstance(alpha, Tensor) else alpha)
    if line_search is None:
        return Trial(longest, point=narrow(w + alpha * p, w))
    start = Trial(0.0, value.item(), dot(g, p).item(), w, g)
    if not math.isfinite(start.slope):
        return Trial(longest, point=narrow(w + alpha * p, w))
    rounding = ROUNDING * torch.finfo(value.dtype).eps * abs(start.value)
    if -start.slope * longest > 100 * rounding:
        rounding = 0.0  # the step promises a decrease that can be seen

    def valued(alpha: float) -> Trial:
        point = w + alpha * p
        return Trial(alpha, f.value(point, batch).item(), point=point)

    def valued_with_slope(alpha: float) -> Trial:
        point = w + alpha * p
        value, gradient = f.value_and_gradient(point, batch)
        return Trial(alpha, value.item(), dot(gradient, p).item(), point, gradient)

    if line_search == "backtracking":
        return backtracking(valued, start, longest, rounding=rounding)
    return strong_wolfe(valued_with_slope, start, longest, rounding=rounding)
