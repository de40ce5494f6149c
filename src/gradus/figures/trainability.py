"""Where runs train, over two of their options, and where theory says that they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gradus.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gradus.trainability.trainability import TrainabilityMap

Numbers = NDArray[np.float64]

NO_RUN = "#f6dcd8"
"""Behind the points at which runs are lost."""

FINE = 100
"""Points a side from which on the boundary is drawn by a thin line."""


@dataclass(frozen=True, eq=False)
class MapFacts:
    """The facts of the picture.

    Attributes:
        title: in words.
        options: along x and along y.
        x: ``[n + 1]``, the values along columns.
        y: ``[n + 1]``, those along rows.
        is_log: whether each axis goes by equal factors.
        loss: ``[n + 1, n + 1]``, NaN where runs are lost.
        lost: ``[n + 1, n + 1]``.
        ratio: ``[n + 1, n + 1]``, 1 at the limit of theory; None where there is none.
        told: what is said below.
    """

    title: str
    options: tuple[str, str]
    x: Numbers
    y: Numbers
    is_log: tuple[bool, bool]
    loss: Numbers
    lost: NDArray[np.bool_]
    ratio: Numbers | None
    told: tuple[str, ...]


def facts_of(found: TrainabilityMap) -> MapFacts:
    """The facts of a map."""
    asked, spec = found.asked, found.asked.base
    told = [
        f"{found.runs:,} runs of {found.steps:,} steps, {found.runs / found.lost.size:.1%} of the "
        f"{asked.x.size} × {asked.x.size} grid",
        f"{found.lost.mean():.0%} lost",
    ]
    if found.auc is not None:
        told.append(f"theory tells lost points from others: AUC {found.auc:.3f}")
    return MapFacts(
        title=f"{spec.data}: where {spec.method} trains",
        options=(asked.x.option, asked.y.option),
        x=found.x,
        y=found.y,
        is_log=(asked.x.is_log, asked.y.is_log),
        loss=found.loss,
        lost=found.lost,
        ratio=found.ratio,
        told=tuple(told),
    )


def draw_map(facts: MapFacts) -> Figure:
    """The darker the lower the loss; pale red where runs are lost, up to a line; theory dotted."""
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.lines import Line2D
    from matplotlib.ticker import LogLocator, NullFormatter

    with style.lecture():
        figure = style.canvas(10.5, 8.0)
        axes = figure.subplots()
        axes.set_facecolor(NO_RUN)
        known = facts.loss[np.isfinite(facts.loss)]
        low, high = (known.min(), known.max()) if len(known) else (0.1, 1.0)
        norm = LogNorm(low, high) if 0 < low < high / 10 else Normalize(low, high)
        mesh = axes.pcolormesh(
            facts.x, facts.y, facts.loss, norm=norm, cmap="cividis", shading="nearest",
            rasterized=True,
        )  # fmt: skip
        for axis, is_log in zip("xy", facts.is_log, strict=True):
            if is_log:
                getattr(axes, f"set_{axis}scale")("log")
        handles = []
        if facts.lost.any() and not facts.lost.all():
            width = 1.6 if len(facts.x) < FINE else 0.9
            axes.contour(facts.x, facts.y, facts.lost.astype(float), [0.5],
                         colors=style.ENDED, linewidths=width)  # fmt: skip
            handles.append(Line2D([], [], color=style.ENDED, linewidth=2.4,
                                  label="beyond: lost"))  # fmt: skip
        if facts.ratio is not None and facts.ratio.min() < 1 < facts.ratio.max():
            axes.contour(facts.x, facts.y, facts.ratio, [1.0], colors="#ffffff", linewidths=4.5)
            axes.contour(facts.x, facts.y, facts.ratio, [1.0], colors=style.INK,
                         linewidths=2.4, linestyles="dashed")  # fmt: skip
            handles.append(Line2D([], [], color=style.INK, linestyle="dashed", linewidth=2.4,
                                  label="limit of theory"))  # fmt: skip
        if handles:
            axes.legend(handles=handles, loc="best", framealpha=0.92)
        bar = figure.colorbar(mesh, ax=axes, pad=0.02)
        bar.set_label("training loss after the run", labelpad=10)
        if isinstance(norm, LogNorm):
            bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            bar.ax.yaxis.set_major_formatter("{x:g}")
            bar.ax.yaxis.set_minor_formatter(NullFormatter())
        bar.outline.set_visible(False)
        style.dress(axes, x=style.word(facts.options[0]), y=style.word(facts.options[1]),
                    title=facts.title)  # fmt: skip
        axes.grid(visible=False)
        axes.set_xlim(facts.x[0], facts.x[-1])
        axes.set_ylim(facts.y[0], facts.y[-1])
        style.caption(figure, facts.told)
    return figure
