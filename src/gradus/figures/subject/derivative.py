r"""What a derivative is, and how well differences find it: truncation falls, rounding rises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from gradus.figures import style
from gradus.figures.curve_styles import STYLES
from gradus.risk.finite_difference import derivative

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]

ROUNDING: Final = float(np.finfo(np.float64).eps) / 2
"""u: the unit roundoff of float64."""

SECANTS: Final = (2.0, 1.0, 0.5, 0.2)


@dataclass(frozen=True, eq=False)
class Derivative:
    r"""The derivative of the sine at a point, by differences.

    The error of a difference has two parts: what the series leaves out, which falls with
    $\varepsilon$, and what rounding makes of the values of f, which rises:

    $$\underbrace{\tfrac{\varepsilon}{2} |f''|}_{\text{truncation}} +
      \underbrace{\tfrac{2 u |f|}{\varepsilon}}_{\text{rounding}} \ \text{(forward)}, \qquad
      \tfrac{\varepsilon^2}{6} |f'''| + \tfrac{u |f|}{\varepsilon} \ \text{(central)}$$

    Attributes:
        x: the point.
        exact: f'(x).
        secants: the $\varepsilon$ of the secants that are drawn.
        slopes: ``[secants]``, theirs.
        eps: ``[n]``, from large to small.
        forward: ``[n]``, the error of the forward difference, measured.
        central: ``[n]``, the same of the central difference.
        best_forward: the $\varepsilon$ with the smallest error that is to be expected:
            $2 \sqrt{u |f| / |f''|}$.
        best_central: the same: $(3 u |f| / |f'''|)^{1/3}$.
    """

    x: float
    exact: float
    secants: tuple[float, ...]
    slopes: Numbers
    eps: Numbers
    forward: Numbers
    central: Numbers
    best_forward: float
    best_central: float

    def expected(self, scheme: str) -> tuple[Numbers, Numbers]:
        """Truncation and rounding at every eps, each ``[n]``."""
        value, slope = abs(np.sin(self.x)), abs(np.cos(self.x))
        if scheme == "forward":
            return self.eps / 2 * value, 2 * ROUNDING * value / self.eps
        return self.eps**2 / 6 * slope, ROUNDING * value / self.eps


def facts(x: float = 1.0) -> Derivative:
    """The facts of the figure, for the sine at x.

    Example:
        >>> found = facts()
        >>> 1e-9 < found.best_forward < 1e-7 < found.best_central < 1e-4
        True
    """
    exact = float(np.cos(x))
    eps = np.geomspace(1.0, 1e-15, 121)
    error = {
        scheme: np.array(
            [abs(derivative(np.sin, x, scheme=scheme, step=float(e)) - exact) for e in eps]
        )
        for scheme in ("forward", "central")
    }
    value, slope = abs(float(np.sin(x))), abs(exact)
    return Derivative(
        x=x,
        exact=exact,
        secants=SECANTS,
        slopes=np.array([derivative(np.sin, x, scheme="forward", step=e) for e in SECANTS]),
        eps=eps,
        forward=error["forward"],
        central=error["central"],
        best_forward=2 * float(np.sqrt(ROUNDING * value / value)),
        best_central=float((3 * ROUNDING * value / slope) ** (1 / 3)),
    )


def draw(found: Derivative) -> Figure:
    """Secants that turn into the tangent, and the error of two differences against eps."""
    with style.lecture():
        figure = style.canvas(15.0, 6.2)
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
        x, y = found.x, float(np.sin(found.x))
        at = np.linspace(x - 1.0, x + 2.6, 200)
        left.plot(at, np.sin(at), color=style.INK, linewidth=3)
        left.annotate("$f$", (x + 2.45, np.sin(x + 2.45)), xytext=(4, 8),
                      textcoords="offset points", fontsize=17)  # fmt: skip
        shades = ("#fdbe85", "#fd8d3c", "#e6550d", "#a63603")
        for e, slope, shade in zip(found.secants, found.slopes, shades, strict=True):
            left.plot(at, y + slope * (at - x), color=shade, linewidth=1.8, linestyle=(0, (5, 2)),
                      label=f"ε = {e:g}:  slope {slope:+.3f}")  # fmt: skip
            left.plot(x + e, np.sin(x + e), "o", color=shade, markersize=8)
        left.plot(at, y + found.exact * (at - x), color=STYLES[0].color, linewidth=3,
                  label=f"tangent:  slope {found.exact:+.3f}")  # fmt: skip
        left.plot(x, y, "o", color=style.INK, markersize=10)
        left.set_ylim(-0.6, 2.1)
        style.dress(left, x="$x$", y="$f(x)$", title="secants turn into the tangent as ε → 0")
        left.legend(loc="upper left", frameon=False, fontsize=13)

        for scheme, line, measured, best in (
            ("forward", STYLES[1], found.forward, found.best_forward),
            ("central", STYLES[0], found.central, found.best_central),
        ):
            right.loglog(found.eps, np.maximum(measured, 1e-17), line.marker, color=line.color,
                         markersize=4.5, alpha=0.75, label=f"{scheme} difference")  # fmt: skip
            truncation, rounding = found.expected(scheme)
            right.loglog(found.eps, truncation + rounding, color=line.color, linewidth=2)
            floor = float(np.interp(best, found.eps[::-1], (truncation + rounding)[::-1]))
            right.plot([best, best], [1e-14, floor], color=line.color, linewidth=2,
                       linestyle=(0, (2, 2)))  # fmt: skip
            right.annotate(f"best ε\n{_power(best)}", (best, 1e-14), fontsize=13, xytext=(6, 5),
                           textcoords="offset points", color=line.color)  # fmt: skip
        right.annotate("truncation falls", (1.0, 1e-10), fontsize=15, ha="left")
        right.annotate("rounding rises", (1e-13, 1e-8), fontsize=15, ha="center")
        right.set_xlim(2, 5e-16)
        right.set_ylim(1e-14, 3)
        style.dress(right, x="ε  (smaller to the right)", y="error of the derivative",
                    title="points: measured;  lines: truncation + rounding")  # fmt: skip
        right.legend(loc="upper center", frameon=False, markerscale=2)
    return figure


def _power(value: float) -> str:
    """A number with one digit and a power of ten, as TeX writes it."""
    digit, power = f"{value:.0e}".split("e")
    return rf"${digit} \cdot 10^{{{int(power)}}}$"
