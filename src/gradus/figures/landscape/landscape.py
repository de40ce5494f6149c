"""The landscape that runs moved over: their paths and the true risk around them, in one plane."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.data.dataset import Dataset
from gradus.errors import InputError
from gradus.figures import style
from gradus.figures.curve_styles import CurveStyle, style_of
from gradus.figures.landscape.path import RunPath, path_of
from gradus.figures.landscape.plane import Plane, hessian_plane, principal_plane, random_plane
from gradus.figures.landscape.random_walk import random_walk_shares
from gradus.figures.landscape.surface import risks
from gradus.models.own import shown
from gradus.risk.empirical import EmpiricalRisk
from gradus.risk.sparse import parts_of
from gradus.runs.record import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]

Directions = Literal["principal", "hessian", "random"]

GRID: Final = 25
"""Values of the risk along each axis."""

EXAMPLES: Final = 10_000
"""Training examples over which the risk is taken, at most."""

MARGIN: Final = 0.25
"""Margin around the paths, as a share of their extent."""

SAME: Final = (
    "data", "target", "categorical", "drop", "missing", "standardize", "model", "hidden", "loss",
    "label_smoothing", "class_weight", "delta", "quantile", "weights", "penalty", "strength",
    "l1_ratio", "dtype",
)  # fmt: skip
"""Options in which runs have to agree to move over one landscape."""

SPLIT: Final = ("validation_fraction", "test_fraction", "split_seed", "split", "group")
"""Options by which the training examples of runs differ."""

Progress = Callable[[str, int, int], None]
"""Called with the name of what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True, eq=False)
class Trail:
    """The path of one run in the plane.

    Attributes:
        label: the run in words.
        line: how it is told apart.
        at: ``[n, 2]``, the coordinates of its projection.
        steps: ``[n]``, parameter updates.
        epoch_ends: rows of ``at`` that stand nearest the end of an epoch.
        distances: ``[n]``, the distance from the plane.
        extent: the largest distance from where the path ends.
        deviation: how far it ends from the recorded model, as a share of its length.
        status: of the run.
    """

    label: str
    line: CurveStyle
    at: Numbers
    steps: NDArray[np.int64]
    epoch_ends: NDArray[np.int64]
    distances: Numbers
    extent: float
    deviation: float
    status: str

    @property
    def furthest_off(self) -> float:
        """The largest distance from the plane, as a share of the extent of the path."""
        return float(self.distances.max()) / max(self.extent, 1e-300)


@dataclass(frozen=True, eq=False)
class Landscape:
    """The true risk over a plane, and the paths of runs in it.

    Attributes:
        title: of the picture.
        plane: where it lies.
        random_walk: the shares of variance along the two principal directions of random walks with
            moves of the same lengths; NaN where the plane is not that of principal directions.
        a: ``[n]``, along the first direction.
        b: ``[n]``, along the second.
        risk: ``[n, n]``, by b and a.
        examples: over how many training examples it was taken.
        trails: of the runs.
    """

    title: str
    plane: Plane
    random_walk: tuple[float, float]
    a: Numbers
    b: Numbers
    risk: Numbers
    examples: int
    trails: tuple[Trail, ...]


def facts(
    runs: Sequence[Run],
    *,
    directions: Directions = "principal",
    grid: int = GRID,
    examples: int = EXAMPLES,
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress = lambda what, done, of: None,
) -> Landscape:
    r"""The facts of a landscape.

    The runs are trained again for their paths: the same to the bit with the same engine, threads
    and machine; how far they deviate otherwise is said. The plane goes through the last point of
    the first one. Over it the risk is the true one: that of the model at $o + a u + b v$, in
    ``eval`` mode (with the running statistics of the first run's end), on training examples drawn
    without replacement, the same for all points.

    Args:
        runs: records, of the same model and data.
        directions: ``principal``, the two along which the points of the paths vary most;
            ``hessian``, the two along which the risk bends most where the first path ends; or
            ``random``, two that are drawn, in every filter as long as its weights.
        grid: values of the risk in each direction.
        examples: over how many.
        data_dir: where data sets that are not embedded are looked for first.
        progress: called as the work goes on.

    Raises:
        InputError: no run, or runs that do not move over one landscape, or a path that cannot be
            had.

    Example:
        >>> import gradus
        >>> from gradus.figures.landscape.landscape import facts
        >>> run = gradus.train(gradus.RunSpec(model="linear", lr=0.1, epochs=1))
        >>> found = facts([run], grid=5, examples=200)
        >>> found.risk.shape, found.trails[0].deviation
        ((5, 5), 0.0)
    """
    if not runs:
        raise InputError("no run: give the folder of at least one")
    _check_same(runs)
    paths = [
        path_of(run, data_dir, partial(progress, f"run {place}: training"))
        for place, run in enumerate(runs, start=1)
    ]
    first = paths[0]
    for path in paths[1:]:
        if not _same_examples(first.split.train, path.split.train):
            here, there = first.run, path.run
            differ = [
                f"{option} {getattr(there.spec, option)} against {getattr(here.spec, option)}"
                for option in SPLIT
                if getattr(there.spec, option) != getattr(here.spec, option)
            ]
            raise InputError(
                f"{there.folder or there.spec.title}: was trained on other examples than "
                f"{here.folder or here.spec.title}: {', '.join(differ) or 'the data changed'}"
            )
    data = _drawn(first.split.train.to(device="cpu", dtype=first.job.dtype), examples)
    origin = first.points[-1]
    random_walk, reach = (np.nan, np.nan), 0.0
    if directions == "hessian":
        plane = hessian_plane(_hessian(first, data, origin), origin, _counted(progress))
    elif directions == "random":
        moving = [p for p in first.job.model.parameters() if p.requires_grad]
        plane, reach = random_plane(origin, [p.shape for p in moving]), 1.0
    else:
        plane = principal_plane(torch.cat([path.points for path in paths]), origin)
        random_walk = random_walk_shares([path.points for path in paths])
    trails = tuple(map(_trail, paths, _styles(runs), [plane] * len(paths)))
    a, b = (
        _axis(np.concatenate([trail.at[:, k] for trail in trails]), grid, reach) for k in (0, 1)
    )
    values = risks(first.job, data, plane, a, b, partial(progress, "risk"))
    if not np.isfinite(values).any():
        raise InputError(
            f"{first.run.folder or first.run.spec.title}: the risk is nowhere finite around its "
            "path; a run that diverged has no landscape: draw one with a smaller --lr"
        )
    spec = first.run.spec
    what = spec.title if len(runs) == 1 else f"{len(runs)} runs"
    title = f"{what} on {shown(spec.data)}"
    return Landscape(title, plane, random_walk, a, b, values, len(data), trails)


def _check_same(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        for option in SAME:
            here, there = getattr(first.spec, option), getattr(run.spec, option)
            if here != there:
                raise InputError(
                    f"{run.folder or run.spec.title}: has {option} {there}, but "
                    f"{first.folder or first.spec.title} has {here}: they do not move over one "
                    "landscape"
                )


def _same_examples(one: Dataset, other: Dataset) -> bool:
    if one.is_sparse != other.is_sparse or one.x.shape != other.x.shape:
        return False
    both = zip(*((*parts_of(each.x), each.y) for each in (one, other)), strict=True)
    return all(torch.equal(here, there) for here, there in both)


def _drawn(data: Dataset, examples: int) -> Dataset:
    """At most so many examples: a fixed draw without replacement where there are more."""
    if examples >= len(data):
        return data
    drawn = np.random.default_rng(0).choice(len(data), examples, replace=False)
    return data.subset(torch.from_numpy(np.sort(drawn)))


def _hessian(path: RunPath, data: Dataset, origin: Tensor) -> Callable[[Tensor], Tensor]:
    job = path.job
    job.model.to(device="cpu", dtype=job.dtype).eval()
    risk = EmpiricalRisk(job.model, job.loss, data, job.penalty)
    return lambda v: risk.hvp(origin, v)


def _counted(progress: Progress) -> Callable[[int], None]:
    """Progress of unknown length: Lanczos does not say how many products it needs."""
    return lambda taken: progress("eigenvectors of the Hessian", taken, 0)


def _styles(runs: Sequence[Run]) -> list[CurveStyle]:
    """One style a run: that of its method where methods differ, else one by its order."""
    methods = [run.spec.method for run in runs]
    option = "method" if len(set(methods)) == len(methods) else None
    return [style_of(option, method, place) for place, method in enumerate(methods)]


def _trail(path: RunPath, line: CurveStyle, plane: Plane) -> Trail:
    ends = np.arange(1, int(path.epochs[-1]) + 1)
    nearest = np.abs(path.epochs[:, None] - ends).argmin(0) if len(ends) else np.zeros(0, np.int64)
    moved = path.points - path.points[-1]
    return Trail(
        path.run.spec.title,
        line,
        plane.coordinates(path.points),
        path.steps,
        np.unique(nearest),
        plane.distance(path.points),
        float(moved.double().norm(dim=1).max()),
        path.deviation,
        path.run.status,
    )


def _axis(coordinates: Numbers, grid: int, reach: float) -> Numbers:
    """Coordinates that cover the paths with a margin, and ``reach`` to both sides of the origin."""
    low, high = float(coordinates.min()), float(coordinates.max())
    margin = MARGIN * (high - low) or 1e-3
    return np.linspace(min(low - margin, -reach), max(high + margin, reach), grid)


def draw(found: Landscape) -> Figure:
    """Contours of the risk with their values, and the paths from their start to their end."""
    from matplotlib.colors import LogNorm, Normalize

    finite = found.risk[np.isfinite(found.risk)]
    low, high = float(finite.min()), float(finite.max())
    high = high if high > low else low + max(abs(low), 1.0)
    wide = low > 0 and high / low > 4
    levels = np.geomspace(low, high, 22)[1:-1] if wide else np.linspace(low, high, 22)[1:-1]
    with style.lecture():
        figure = style.canvas(12.5, 9.2)
        axes = figure.subplots()
        norm = LogNorm(low, high) if wide else Normalize(low, high)
        shown = np.where(np.isfinite(found.risk), found.risk, high)
        mesh = axes.contourf(found.a, found.b, shown, levels=[low, *levels, high], norm=norm,
                             cmap="Blues_r", alpha=0.75)  # fmt: skip
        lines = axes.contour(found.a, found.b, shown, levels=levels[::2], colors="#35556f",
                             linewidths=0.9)  # fmt: skip
        axes.clabel(lines, fmt="%.2g", fontsize=11)
        for at, trail in enumerate(found.trails):
            _draw_trail(axes, trail, at, len(found.trails))
        labels = [
            label if np.isnan(share) else f"{label}  ({100 * share:.1f} % of the variance)"
            for label, share in zip(found.plane.labels, found.plane.explained, strict=True)
        ]
        style.dress(axes, x=labels[0], y=labels[1], title=found.title)
        axes.grid(visible=False)
        bar = figure.colorbar(mesh, ax=axes, pad=0.02, format="%.2g")
        bar.set_label(f"risk over {found.examples:,} training examples")
        bar.outline.set_visible(False)
        axes.legend(loc="best", framealpha=0.9, edgecolor="none")
        style.caption(figure, caption(found))
    return figure


def _draw_trail(axes: Axes, trail: Trail, place: int, of: int) -> None:
    from matplotlib.patheffects import withStroke

    line = trail.line
    label = trail.label if of > 1 else "path of the run"
    axes.plot(*trail.at.T, color="#fdfdfd", linewidth=5.5, alpha=0.8, solid_capstyle="round")
    axes.plot(*trail.at.T, color=line.color, linestyle=line.dashes, linewidth=2.6, label=label)
    ends = trail.at[trail.epoch_ends]
    given: dict[str, Any] = {"linestyle": "none", "color": line.color, "zorder": 5}
    axes.plot(*ends.T, line.marker, markersize=8, label="" if of > 1 else "end of an epoch",
              markeredgecolor="#fdfdfd", **given)  # fmt: skip
    axes.plot(*trail.at[0], "o", markersize=13, markerfacecolor="#fdfdfd", markeredgewidth=2.4,
              markeredgecolor=line.color, **given)  # fmt: skip
    axes.plot(*trail.at[-1], "*", markersize=20, markeredgecolor="#fdfdfd", **given)
    halo = [withStroke(linewidth=4, foreground="#fdfdfd")]
    # Several runs may end close together: the legend says what their stars are.
    named = [(-1, "end")] * (of == 1) + [(0, "start")] * (place == 0)
    for row, text in named:
        left = np.mean(axes.get_xlim()) < trail.at[row, 0]
        axes.annotate(text, trail.at[row], xytext=(-11 if left else 11, 11),
                      ha="right" if left else "left", textcoords="offset points", fontsize=15,
                      color=line.color, weight="bold", zorder=6, path_effects=halo)  # fmt: skip
    if 1 < of == place + 1:
        axes.plot([], [], "*", color=style.PALE, markersize=16, label="end; marks: ends of epochs")


def caption(found: Landscape) -> list[str]:
    """What is printed with the picture: how much of the paths it shows, and how true they are."""
    lines = []
    if np.isfinite(found.random_walk).all():
        which = "path" if len(found.trails) == 1 else "paths"
        walk = "a random walk" if len(found.trails) == 1 else "random walks"
        lines.append(
            f"{100 * sum(found.plane.explained):.1f} % of the variance of the {which} is in the "
            f"plane; {walk} with moves of the same lengths: {100 * sum(found.random_walk):.1f} %"
        )
    for trail in found.trails:
        which = f"{trail.label}: " if len(found.trails) > 1 else ""
        lines.append(
            f"{which}up to {100 * trail.furthest_off:.3g} % off the plane (of the path's extent, "
            f"{trail.extent:.3g})"
        )
        if trail.deviation != 0:
            how = (
                f"ends or leaves the finite at step {trail.steps[-1]:,}"
                if np.isnan(trail.deviation)
                else f"ends {100 * trail.deviation:.2g} % of its length from the recorded model"
            )
            lines.append(f"{which}trained again, the run {how}")
    return lines
