"""What a function of two variables looks like from above, and the paths of methods over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.figures import style
from gradus.figures.curve_styles import CurveStyle
from gradus.figures.subject.landscapes import Box

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Numbers = NDArray[np.float64]

GRID = 101
"""Values of f along each axis of the grid."""

LEVELS = 14
"""Number of contour levels."""


@dataclass(frozen=True, eq=False)
class Terrain:
    """The values of f on a grid.

    Attributes:
        x: ``[n]``, along w_1.
        y: ``[m]``, along w_2.
        values: ``[m, n]``.
        lowest: below which f does not fall: contours stand closer towards it.
    """

    x: Numbers
    y: Numbers
    values: Numbers
    lowest: float

    @property
    def box(self) -> Box:
        """The part of the plane that it covers."""
        return float(self.x[0]), float(self.x[-1]), float(self.y[0]), float(self.y[-1])


def terrain(
    f: Callable[[Tensor], Tensor], box: Box, lowest: float | None = None, n: int = GRID
) -> Terrain:
    """The values of f over a box.

    Args:
        f: of a tensor ``[2]``, a scalar tensor.
        box: the part of the plane.
        lowest: below which f does not fall; None: the lowest value found.
        n: how many values in each direction.

    Example:
        >>> above = terrain(lambda w: w[0] ** 2 + w[1], (0.0, 2.0, 0.0, 1.0), n=3)
        >>> above.values.tolist()
        [[0.0, 1.0, 4.0], [0.5, 1.5, 4.5], [1.0, 2.0, 5.0]]
    """
    x, y = np.linspace(box[0], box[1], n), np.linspace(box[2], box[3], n)
    points = torch.from_numpy(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
    with torch.no_grad():
        values = np.array([float(f(point)) for point in points]).reshape(n, n)
    finite = values[np.isfinite(values)]
    found = float(finite.min()) if len(finite) else 0.0
    return Terrain(x, y, values, found if lowest is None else min(lowest, found))


def draw_terrain(axes: Axes, above: Terrain, *, labels: bool = True) -> None:
    """Contours, closer towards the lowest value; the lower, the darker."""
    heights = np.where(np.isfinite(above.values), above.values - above.lowest, np.nan)
    positive = heights[heights > 0]
    low, high = (np.quantile(positive, 0.004), positive.max()) if len(positive) else (0.0, 0.0)
    if high > low:  # else there is nothing between the lowest and the highest
        levels = np.geomspace(max(low, high * 1e-7), high, LEVELS)
        shown = np.clip(heights, levels[0] / 2, None)
        axes.contourf(
            above.x, above.y, np.log(shown), levels=np.log([levels[0] / 2, *levels]),
            cmap="Blues_r", alpha=0.42, extend="both",
        )  # fmt: skip
        axes.contour(
            above.x, above.y, heights, levels=levels, colors="#6f8fae", linewidths=0.7, alpha=0.7
        )
    axes.set_xlim(above.box[:2])
    axes.set_ylim(above.box[2:])
    if labels:
        axes.set_xlabel("$w_1$")
        axes.set_ylabel("$w_2$")


@dataclass(frozen=True, eq=False)
class Path:
    """Where a method went.

    Attributes:
        name: of the method, as in ``curve_styles.METHOD_STYLES``.
        label: in words, with its hyper-parameters.
        points: ``[steps + 1, 2]``, the start first.
        values: ``[steps + 1]``, f there.
    """

    name: str
    label: str
    points: Numbers
    values: Numbers

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.points) - 1

    def until(self, share: float) -> Path:
        """Its first steps: this share of them."""
        kept = 1 + round(share * self.steps)
        return replace(self, points=self.points[:kept], values=self.values[:kept])


def draw_path(axes: Axes, path: Path, line: CurveStyle, **given: Any) -> None:
    """A path with a marker at every step, or at fewer where steps are many; clipped to the axes."""
    many = max(1, path.steps // 40)
    axes.plot(
        *path.points.T,
        **{
            "color": line.color,
            "linestyle": line.dashes,
            "linewidth": 2.0,
            "marker": line.marker,
            "markersize": 5,
            "markevery": many,
            "label": path.label,
            **given,
        },
    )


def mark(axes: Axes, point: Any, text: str, **given: Any) -> None:
    """A labelled point, drawn above the paths."""
    from matplotlib.patheffects import withStroke

    axes.plot(*point, marker="*" if text == "minimum" else "o", markersize=13,
              color="#fdfdfd", markeredgecolor=style.INK, markeredgewidth=1.6, zorder=6,
              linestyle="none")  # fmt: skip
    axes.annotate(
        text,
        point,
        **{
            "xytext": (9, 8),
            "textcoords": "offset points",
            "fontsize": 13,
            "zorder": 7,
            "path_effects": [withStroke(linewidth=3.5, foreground="#fdfdfd")],
            **given,
        },
    )
